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

    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private int _position;
    private int _line = 1;

    private Lexer(string source)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        _source = source.EndsWith('\n') ? source[..^1] : source;
    }

    public static List<Token> Tokenize(string source)
    {
        var lexer = new Lexer(source);
        lexer.Run();
        return lexer._tokens;
    }

    private void Run()
    {
        var trimLeft = false;
        var trimNewline = false;
        while (_position < _source.Length)
        {
            var tag = NextTag(_position);
            var text = _source[_position..(tag < 0 ? _source.Length : tag)];
            var textLine = _line;
            _line += text.Count(character => character == '\n');
            if (trimLeft)
                text = text.TrimStart();
            else if (trimNewline && text.StartsWith('\n'))
                text = text[1..];
            if (tag >= 0)
                text = TrimBeforeTag(text, tag, trimLeft);
            if (text.Length > 0)
                _tokens.Add(new Token(TokenKind.Text, text, textLine));
            if (tag < 0)
                break;
            _position = tag;
            (trimLeft, trimNewline) = _source[tag + 1] switch
            {
                '#' => Comment(),
                '%' => Block(),
                _ => Print(),
            };
        }

        _tokens.Add(new Token(TokenKind.End, "", _line));
    }

    private int NextTag(int from)
    {
        for (var i = _source.IndexOf('{', from); i >= 0 && i + 1 < _source.Length; i = _source.IndexOf('{', i + 1))
        {
            if (_source[i + 1] is '{' or '%' or '#')
                return i;
        }

        return -1;
    }

    private string TrimBeforeTag(string text, int tag, bool trimmed)
    {
        var sign = tag + 2 < _source.Length ? _source[tag + 2] : ' ';
        if (sign == '-')
            return text.TrimEnd();
        if (sign == '+' || _source[tag + 1] == '{')
            return text;

        // lstrip_blocks: blanks between the start of a line and a tag go. Where the line begins is not looked for: there may be many tags on it.
        var lineStart = _source.AsSpan(0, tag).TrimEnd(" \t\f\v").Length;
        if (lineStart > 0 && _source[lineStart - 1] != '\n')
            return text;
        var blanks = Math.Min(tag - lineStart, text.Length);
        return trimmed && text.Length == 0 ? text : text[..^blanks];
    }

    private (bool TrimLeft, bool TrimNewline) Comment()
    {
        var end = _source.IndexOf("#}", _position + 2, StringComparison.Ordinal);
        if (end < 0)
            throw new JinjaException("a comment '{#' has no '#}'", _line);
        _line += _source.AsSpan(_position, end - _position).Count('\n');
        _position = end + 2;
        return _source[end - 1] switch
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
        _tokens.Add(new Token(TokenKind.BlockStart, "{%", _line));
        Open();
        var sign = Expression("%}");
        _tokens.Add(new Token(TokenKind.BlockEnd, "%}", _line));
        return (sign == '-', sign != '-' && sign != '+');
    }

    private (bool TrimLeft, bool TrimNewline) Print()
    {
        _tokens.Add(new Token(TokenKind.PrintStart, "{{", _line));
        Open();
        var sign = Expression("}}");
        _tokens.Add(new Token(TokenKind.PrintEnd, "}}", _line));
        return (sign == '-', false);
    }

    private void Open()
    {
        _position += 2;
        if (_position < _source.Length && _source[_position] is ('-' or '+'))
            _position++;
    }

    private (bool TrimLeft, bool TrimNewline)? RawBlock()
    {
        var rest = _source.AsSpan(_position + 2).TrimStart("-+").TrimStart();
        if (!rest.StartsWith("raw") || rest.Length < 4 || char.IsLetterOrDigit(rest[3]) || rest[3] == '_')
            return null;
        throw new JinjaException("the block 'raw' is not supported", _line);
    }

    /// <summary>Reads up to the end of a tag; answers the sign before it.</summary>
    private char Expression(string end)
    {
        var depth = 0;
        while (true)
        {
            SkipSpace();
            if (_position >= _source.Length)
                throw new JinjaException($"a tag has no '{end}'", _line);
            if (depth == 0)
            {
                if (At(end))
                    return Close(end.Length, ' ');
                if (_source[_position] is '-' or '+' && At(end, 1))
                    return Close(end.Length + 1, _source[_position]);
            }

            var character = _source[_position];
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
        _position += length;
        return sign;
    }

    private bool At(string text, int offset = 0) => string.CompareOrdinal(_source, _position + offset, text, 0, text.Length) == 0;

    private void SkipSpace()
    {
        while (_position < _source.Length && char.IsWhiteSpace(_source[_position]))
        {
            if (_source[_position++] == '\n')
                _line++;
        }
    }

    private void ReadString(char quote)
    {
        var start = _line;
        var text = new StringBuilder();
        for (_position++; _position < _source.Length && _source[_position] != quote; _position++)
        {
            var character = _source[_position];
            if (character == '\n')
                _line++;
            if (character != '\\' || _position + 1 >= _source.Length)
            {
                text.Append(character);
                continue;
            }

            character = _source[++_position];
            switch (character)
            {
                case 'u' or 'x':
                    var digits = character == 'u' ? 4 : 2;
                    if (_position + digits >= _source.Length || !int.TryParse(_source.AsSpan(_position + 1, digits), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var code))
                        throw new JinjaException($"'\\{character}' needs {digits} hexadecimal digits", _line);
                    text.Append((char)code);
                    _position += digits;
                    break;
                case '\n':
                    _line++;
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

        if (_position >= _source.Length)
            throw new JinjaException("a string has no closing quote", start);
        _position++;
        _tokens.Add(new Token(TokenKind.String, text.ToString(), start));
    }

    private void ReadNumber()
    {
        var start = _position;
        while (_position < _source.Length && (char.IsAsciiDigit(_source[_position]) || _source[_position] == '_'))
            _position++;
        var isFloat = _position + 1 < _source.Length && _source[_position] == '.' && char.IsAsciiDigit(_source[_position + 1]);
        if (isFloat)
        {
            _position++;
            while (_position < _source.Length && char.IsAsciiDigit(_source[_position]))
                _position++;
        }

        var exponent = _position;
        if (exponent < _source.Length && _source[exponent] is ('e' or 'E'))
        {
            exponent++;
            if (exponent < _source.Length && _source[exponent] is ('-' or '+'))
                exponent++;
            if (exponent < _source.Length && char.IsAsciiDigit(_source[exponent]))
            {
                isFloat = true;
                for (_position = exponent; _position < _source.Length && char.IsAsciiDigit(_source[_position]);)
                    _position++;
            }
        }

        _tokens.Add(new Token(isFloat ? TokenKind.Float : TokenKind.Integer, _source[start.._position].Replace("_", "", StringComparison.Ordinal), _line));
    }

    private void ReadName()
    {
        var start = _position;
        while (_position < _source.Length && (char.IsLetterOrDigit(_source[_position]) || _source[_position] == '_'))
            _position++;
        _tokens.Add(new Token(TokenKind.Name, _source[start.._position], _line));
    }

    private int ReadOperator()
    {
        foreach (var symbol in Operators)
        {
            if (!At(symbol))
                continue;
            _position += symbol.Length;
            _tokens.Add(new Token(TokenKind.Operator, symbol, _line));
            return symbol switch
            {
                "(" or "[" or "{" => 1,
                ")" or "]" or "}" => -1,
                _ => 0,
            };
        }

        throw new JinjaException($"unexpected character '{_source[_position]}'", _line);
    }
}
