using System.Globalization;

namespace Moebius.Inference.Text.Jinja;

/// <summary>Reads expressions, with Jinja's precedence.</summary>
internal class ExpressionParser(List<Token> tokens)
{
    private int _position;
    private int _depth;

    protected Token Current => tokens[_position];

    protected Token Take() => tokens[_position < tokens.Count - 1 ? _position++ : _position];

    protected bool TakeIf(string symbol)
    {
        if (!Current.Is(symbol))
            return false;
        Take();
        return true;
    }

    protected bool TakeName(string name)
    {
        if (!Current.IsName(name))
            return false;
        Take();
        return true;
    }

    protected void Expect(string symbol)
    {
        if (!TakeIf(symbol))
            throw new JinjaException($"expected '{symbol}', found {Current}", Current.Line);
    }

    protected string ExpectName()
    {
        if (Current.Kind != TokenKind.Name)
            throw new JinjaException($"expected a name, found {Current}", Current.Line);
        return Take().Value;
    }

    /// <summary>A tuple without parentheses, or one expression.</summary>
    protected Expression ParseTuple()
    {
        var first = ParseExpression();
        if (!Current.Is(","))
            return first;
        var items = new List<Expression> { first };
        while (TakeIf(",") && Current.Kind is not (TokenKind.BlockEnd or TokenKind.PrintEnd))
            items.Add(ParseExpression());
        return new ListLiteral(items, true, first.Line);
    }

    protected Expression ParseExpression()
    {
        // Nesting is bounded so that a damaged template cannot exhaust the stack.
        if (++_depth > 200)
            throw new JinjaException("expressions are nested too deeply", Current.Line);
        var value = ParseOr();
        while (Current.IsName("if"))
        {
            var line = Take().Line;
            var condition = ParseOr();
            value = new Conditional(condition, value, TakeName("else") ? ParseExpression() : null, line);
        }

        _depth--;
        return value;
    }

    /// <summary>An expression in which <c>if</c> does not begin a condition: the list of a for loop.</summary>
    protected Expression ParseOr()
    {
        var left = ParseAnd();
        while (Current.IsName("or"))
            left = new Binary("or", left, NextAnd(out var line), line);
        return left;

        Expression NextAnd(out int line)
        {
            line = Take().Line;
            return ParseAnd();
        }
    }

    private Expression ParseAnd()
    {
        var left = ParseNot();
        while (Current.IsName("and"))
        {
            var line = Take().Line;
            left = new Binary("and", left, ParseNot(), line);
        }

        return left;
    }

    private Expression ParseNot()
    {
        Bounds.Nesting(Current.Line);
        if (!Current.IsName("not"))
            return ParseComparison();
        var line = Take().Line;
        return new Unary("not", ParseNot(), line);
    }

    private Expression ParseComparison()
    {
        var first = ParseSum();
        var rest = new List<(string, Expression)>();
        while (true)
        {
            if (Current.Kind == TokenKind.Operator && Current.Value is "==" or "!=" or "<" or ">" or "<=" or ">=")
            {
                rest.Add((Take().Value, ParseSum()));
            }
            else if (Current.IsName("in"))
            {
                Take();
                rest.Add(("in", ParseSum()));
            }
            else if (Current.IsName("not") && tokens[_position + 1].IsName("in"))
            {
                Take();
                Take();
                rest.Add(("not in", ParseSum()));
            }
            else
            {
                return rest.Count == 0 ? first : new Comparison(first, rest, first.Line);
            }
        }
    }

    private Expression ParseSum() => ParseLeft(ParseConcat, "+", "-");

    private Expression ParseConcat() => ParseLeft(ParseProduct, "~");

    private Expression ParseProduct() => ParseLeft(ParsePower, "*", "/", "//", "%");

    private Expression ParsePower() => ParseLeft(() => ParseUnary(true), "**");

    private Expression ParseLeft(Func<Expression> operand, params ReadOnlySpan<string> operators)
    {
        var left = operand();
        while (Current.Kind == TokenKind.Operator && operators.Contains(Current.Value))
        {
            var symbol = Take();
            left = new Binary(symbol.Value, left, operand(), symbol.Line);
        }

        return left;
    }

    private Expression ParseUnary(bool withFilters)
    {
        Bounds.Nesting(Current.Line);
        Expression value;
        if (Current.Is("-") || Current.Is("+"))
        {
            var symbol = Take();
            value = new Unary(symbol.Value, ParseUnary(false), symbol.Line);
        }
        else
        {
            value = ParsePrimary();
        }

        value = ParsePostfix(value);
        return withFilters ? ParseFilters(value) : value;
    }

    private Expression ParsePrimary()
    {
        var token = Take();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return token.Value switch
                {
                    "true" or "True" => new Literal(true, token.Line),
                    "false" or "False" => new Literal(false, token.Line),
                    "none" or "None" => new Literal(null, token.Line),
                    _ => new Variable(token.Value, token.Line),
                };
            case TokenKind.String:
                var text = token.Value;
                while (Current.Kind == TokenKind.String)
                    text += Take().Value;
                return new Literal(text, token.Line);
            case TokenKind.Integer:
                return long.TryParse(token.Value, CultureInfo.InvariantCulture, out var integer)
                    ? new Literal(integer, token.Line)
                    : throw new JinjaException($"{token} is too large a number", token.Line);
            case TokenKind.Float:
                return new Literal(double.Parse(token.Value, CultureInfo.InvariantCulture), token.Line);
            case TokenKind.Operator when token.Value == "(":
                return ParseParentheses(token.Line);
            case TokenKind.Operator when token.Value == "[":
                return new ListLiteral(ParseItems("]"), false, token.Line);
            case TokenKind.Operator when token.Value == "{":
                return ParseMap(token.Line);
            default:
                throw new JinjaException($"expected an expression, found {token}", token.Line);
        }
    }

    private Expression ParseParentheses(int line)
    {
        if (TakeIf(")"))
            return new ListLiteral([], true, line);
        var first = ParseExpression();
        if (TakeIf(")"))
            return first;
        Expect(",");
        return new ListLiteral([first, .. ParseItems(")")], true, line);
    }

    private List<Expression> ParseItems(string end)
    {
        var items = new List<Expression>();
        while (!TakeIf(end))
        {
            items.Add(ParseExpression());
            if (!Current.Is(end))
                Expect(",");
        }

        return items;
    }

    private MapLiteral ParseMap(int line)
    {
        var items = new List<(Expression, Expression)>();
        while (!TakeIf("}"))
        {
            var key = ParseExpression();
            Expect(":");
            items.Add((key, ParseExpression()));
            if (!Current.Is("}"))
                Expect(",");
        }

        return new MapLiteral(items, line);
    }

    private Expression ParsePostfix(Expression value)
    {
        while (true)
        {
            var line = Current.Line;
            if (TakeIf("."))
                value = Current.Kind == TokenKind.Integer ? new Item(value, new Literal(long.Parse(Take().Value, CultureInfo.InvariantCulture), line), line) : new Attribute(value, ExpectName(), line);
            else if (TakeIf("["))
                value = ParseSubscript(value, line);
            else if (Current.Is("("))
                value = new Call(value, ParseArguments(), line);
            else
                return value;
        }
    }

    private Expression ParseSubscript(Expression target, int line)
    {
        var start = Current.Is(":") ? null : ParseExpression();
        if (start is not null && TakeIf("]"))
            return new Item(target, start, line);
        Expect(":");
        var stop = Current.Is(":") || Current.Is("]") ? null : ParseExpression();
        var step = TakeIf(":") && !Current.Is("]") ? ParseExpression() : null;
        Expect("]");
        return new Slice(target, start, stop, step, line);
    }

    protected CallArguments ParseArguments()
    {
        Expect("(");
        var positional = new List<Expression>();
        var named = new List<(string, Expression)>();
        while (!TakeIf(")"))
        {
            if (Current.Is("*") || Current.Is("**"))
                throw new JinjaException("unpacking of arguments with '*' is not supported", Current.Line);
            if (Current.Kind == TokenKind.Name && tokens[_position + 1].Is("="))
            {
                var name = Take().Value;
                Take();
                named.Add((name, ParseExpression()));
            }
            else
            {
                positional.Add(ParseExpression());
            }

            if (!Current.Is(")"))
                Expect(",");
        }

        return new CallArguments(positional, named);
    }

    private Expression ParseFilters(Expression value)
    {
        while (true)
        {
            var line = Current.Line;
            if (TakeIf("|"))
            {
                var (name, arguments) = ParseFilter();
                value = new Filter(value, name, arguments, line);
            }
            else if (TakeName("is"))
            {
                value = ParseTest(value, line);
            }
            else if (Current.Is("("))
            {
                value = new Call(value, ParseArguments(), line);
            }
            else
            {
                return value;
            }
        }
    }

    protected (string Name, CallArguments Arguments) ParseFilter()
    {
        var line = Current.Line;
        var name = ExpectName();
        return Filters.Exists(name)
            ? (name, Current.Is("(") ? ParseArguments() : CallArguments.None)
            : throw new JinjaException($"the filter '{name}' is not supported", line);
    }

    private Test ParseTest(Expression value, int line)
    {
        var negated = TakeName("not");
        var name = ExpectName();
        if (!Tests.Exists(name))
            throw new JinjaException($"the test '{name}' is not supported", line);
        var arguments = CallArguments.None;
        if (Current.Is("("))
            arguments = ParseArguments();
        else if (Current.Kind is TokenKind.String or TokenKind.Integer or TokenKind.Float || Current.Is("[") || Current.Is("{")
            || (Current.Kind == TokenKind.Name && Current.Value is not ("else" or "or" or "and" or "if" or "is" or "in" or "not" or "recursive")))
            arguments = new CallArguments([ParsePostfix(ParsePrimary())], []);
        return new Test(value, name, arguments, negated, line);
    }
}
