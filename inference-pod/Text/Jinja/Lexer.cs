using System.Globalization;
using System.Text;

namespace Moebius.Inference.Text.Jinja;

internal enum TokenKind
{
    Text,
    BlockStart,
    BlockEnd,
    PrintStart,
    PrintEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End,
}

/// <summary>One token of a template.</summary>
internal readonly record struct Token(TokenKind Kind, string Value, int Line)
{
    public bool Is(string symbol) => Kind == TokenKind.Operator && Value == symbol;

    public bool IsName(string name) => Kind == TokenKind.Name && Value == name;

    public override string ToString() => Kind == TokenKind.End ? "the end of the template" : $"'{Value}'";
}

/// <summary>
/// Cuts a template into tokens, with the white space rules that chat templates are written for: <c>trim_blocks</c> and
/// <c>lstrip_blocks</c> on, one trailing newline dropped, <c>-</c> and <c>+</c> marks honoured.
/// </summary>
internal sealed class Lexer
{
    private static readonly string[] Operators =
        ["**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ":", ".", "|"];

    private readonly string source;
    private readonly List<Token> tokens = [];
    private int position;
    private int line = 1;

    private Lexer(string source)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        this.source = source.EndsWith('\n') ? source[..^1] : source;
    }

    public static List<Token> Tokenize(string source)
    {
        var lexer = new Lexer(source);
        lexer.Run();
        return lexer.tokens;
    }

    private void Run()
    {
        var trimLeft = false;
        var trimNewline = false;
        while (position < source.Length)
        {
            var tag = NextTag(position);
            var text = source[position..(tag < 0 ? source.Length : tag)];
            var textLine = line;
            line += text.Count(character => character == '\n');
            if (trimLeft)
                text = text.TrimStart();
            else if (trimNewline && text.StartsWith('\n'))
                text = text[1..];
            if (tag >= 0)
                text = TrimBeforeTag(text, tag, trimLeft);
            if (text.Length > 0)
                tokens.Add(new Token(TokenKind.Text, text, textLine));
            if (tag < 0)
                break;
            position = tag;
            (trimLeft, trimNewline) = source[tag + 1] switch
            {
                '#' => Comment(),
                '%' => Block(),
                _ => Print(),
            };
        }

        tokens.Add(new Token(TokenKind.End, "", line));
    }

    private int NextTag(int from)
    {
        for (var i = source.IndexOf('{', from); i >= 0 && i + 1 < source.Length; i = source.IndexOf('{', i + 1))
        {
            if (source[i + 1] is '{' or '%' or '#')
                return i;
        }

        return -1;
    }

    private string TrimBeforeTag(string text, int tag, bool trimmed)
    {
        var sign = tag + 2 < source.Length ? source[tag + 2] : ' ';
        if (sign == '-')
            return text.TrimEnd();
        if (sign == '+' || source[tag + 1] == '{')
            return text;

        // lstrip_blocks: blanks between the start of a line and a tag go.
        var lineStart = source.LastIndexOf('\n', Math.Max(tag - 1, 0)) + 1;
        if (tag == 0)
            lineStart = 0;
        if (source.AsSpan(lineStart, tag - lineStart).TrimStart(" \t\f\v").Length > 0)
            return text;
        var blanks = Math.Min(tag - lineStart, text.Length);
        return trimmed && text.Length == 0 ? text : text[..^blanks];
    }

    private (bool TrimLeft, bool TrimNewline) Comment()
    {
        var end = source.IndexOf("#}", position + 2, StringComparison.Ordinal);
        if (end < 0)
            throw new JinjaException("a comment '{#' has no '#}'", line);
        line += source.AsSpan(position, end - position).Count('\n');
        position = end + 2;
        return source[end - 1] switch
        {
            '-' => (true, false),
            '+' => (false, false),
            _ => (false, true),
        };
    }

    private (bool TrimLeft, bool TrimNewline) Block()
    {
        if (RawBlock() is { } raw)
            return raw;
        tokens.Add(new Token(TokenKind.BlockStart, "{%", line));
        Open();
        var sign = Expression("%}");
        tokens.Add(new Token(TokenKind.BlockEnd, "%}", line));
        return (sign == '-', sign != '-' && sign != '+');
    }

    private (bool TrimLeft, bool TrimNewline) Print()
    {
        tokens.Add(new Token(TokenKind.PrintStart, "{{", line));
        Open();
        var sign = Expression("}}");
        tokens.Add(new Token(TokenKind.PrintEnd, "}}", line));
        return (sign == '-', false);
    }

    private void Open()
    {
        position += 2;
        if (position < source.Length && source[position] is ('-' or '+'))
            position++;
    }

    private (bool TrimLeft, bool TrimNewline)? RawBlock()
    {
        var rest = source.AsSpan(position + 2).TrimStart("-+").TrimStart();
        if (!rest.StartsWith("raw") || rest.Length < 4 || char.IsLetterOrDigit(rest[3]) || rest[3] == '_')
            return null;
        throw new JinjaException("the block 'raw' is not supported", line);
    }

    /// <summary>Reads up to the end of a tag; answers the sign before it.</summary>
    private char Expression(string end)
    {
        var depth = 0;
        while (true)
        {
            SkipSpace();
            if (position >= source.Length)
                throw new JinjaException($"a tag has no '{end}'", line);
            if (depth == 0)
            {
                if (At(end))
                    return Close(end.Length, ' ');
                if (source[position] is '-' or '+' && At(end, 1))
                    return Close(end.Length + 1, source[position]);
            }

            var character = source[position];
            if (character is '\'' or '"')
                ReadString(character);
            else if (char.IsAsciiDigit(character))
                ReadNumber();
            else if (char.IsLetter(character) || character == '_')
                ReadName();
            else
                depth += ReadOperator();
        }
    }

    private char Close(int length, char sign)
    {
        position += length;
        return sign;
    }

    private bool At(string text, int offset = 0) => string.CompareOrdinal(source, position + offset, text, 0, text.Length) == 0;

    private void SkipSpace()
    {
        while (position < source.Length && char.IsWhiteSpace(source[position]))
        {
            if (source[position++] == '\n')
                line++;
        }
    }

    private void ReadString(char quote)
    {
        var start = line;
        var text = new StringBuilder();
        for (position++; position < source.Length && source[position] != quote; position++)
        {
            var character = source[position];
            if (character == '\n')
                line++;
            if (character != '\\' || position + 1 >= source.Length)
            {
                text.Append(character);
                continue;
            }

            character = source[++position];
            switch (character)
            {
                case 'u' or 'x':
                    var digits = character == 'u' ? 4 : 2;
                    if (position + digits >= source.Length || !int.TryParse(source.AsSpan(position + 1, digits), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var code))
                        throw new JinjaException($"'\\{character}' needs {digits} hexadecimal digits", line);
                    text.Append((char)code);
                    position += digits;
                    break;
                case '\n':
                    line++;
                    break;
                default:
                    text.Append(character switch
                    {
                        'n' => "\n",
                        'r' => "\r",
                        't' => "\t",
                        'b' => "\b",
                        'f' => "\f",
                        'v' => "\v",
                        '0' => "\0",
                        '\\' or '\'' or '"' => character.ToString(),
                        _ => "\\" + character,
                    });
                    break;
            }
        }

        if (position >= source.Length)
            throw new JinjaException("a string has no closing quote", start);
        position++;
        tokens.Add(new Token(TokenKind.String, text.ToString(), start));
    }

    private void ReadNumber()
    {
        var start = position;
        while (position < source.Length && (char.IsAsciiDigit(source[position]) || source[position] == '_'))
            position++;
        var isFloat = position + 1 < source.Length && source[position] == '.' && char.IsAsciiDigit(source[position + 1]);
        if (isFloat)
        {
            position++;
            while (position < source.Length && char.IsAsciiDigit(source[position]))
                position++;
        }

        var exponent = position;
        if (exponent < source.Length && source[exponent] is ('e' or 'E'))
        {
            exponent++;
            if (exponent < source.Length && source[exponent] is ('-' or '+'))
                exponent++;
            if (exponent < source.Length && char.IsAsciiDigit(source[exponent]))
            {
                isFloat = true;
                for (position = exponent; position < source.Length && char.IsAsciiDigit(source[position]);)
                    position++;
            }
        }

        tokens.Add(new Token(isFloat ? TokenKind.Float : TokenKind.Integer, source[start..position].Replace("_", "", StringComparison.Ordinal), line));
    }

    private void ReadName()
    {
        var start = position;
        while (position < source.Length && (char.IsLetterOrDigit(source[position]) || source[position] == '_'))
            position++;
        tokens.Add(new Token(TokenKind.Name, source[start..position], line));
    }

    private int ReadOperator()
    {
        foreach (var symbol in Operators)
        {
            if (!At(symbol))
                continue;
            position += symbol.Length;
            tokens.Add(new Token(TokenKind.Operator, symbol, line));
            return symbol switch
            {
                "(" or "[" or "{" => 1,
                ")" or "]" or "}" => -1,
                _ => 0,
            };
        }

        throw new JinjaException($"unexpected character '{source[position]}'", line);
    }
}
