namespace Moebius.Inference.Text.Jinja;

/// <summary>Reads statements.</summary>
internal sealed class Parser(List<Token> tokens) : ExpressionParser(tokens)
{
    public static IReadOnlyList<Statement> Parse(List<Token> tokens)
    {
        var parser = new Parser(tokens);
        var body = parser.ParseBody();
        return parser.Current.Kind == TokenKind.End
            ? body
            : throw new JinjaException($"unexpected {{% {parser.Current.Value} %}}", parser.Current.Line);
    }

    /// <summary>Statements up to the end or a block that one of <paramref name="ends"/> names; that name is the current token.</summary>
    private List<Statement> ParseBody(params ReadOnlySpan<string> ends)
    {
        var body = new List<Statement>();
        while (true)
        {
            var token = Current;
            switch (token.Kind)
            {
                case TokenKind.Text:
                    body.Add(new TextOutput(Take().Value, token.Line));
                    break;
                case TokenKind.PrintStart:
                    Take();
                    var value = ParseTuple();
                    End(TokenKind.PrintEnd);
                    body.Add(new Print(value, token.Line));
                    break;
                case TokenKind.BlockStart:
                    Take();
                    if (Current.Kind == TokenKind.Name && ends.Contains(Current.Value))
                        return body;
                    body.Add(ParseBlock());
                    break;
                default:
                    return ends.IsEmpty ? body : throw new JinjaException($"expected {{% {ends[^1]} %}}, found {token}", token.Line);
            }
        }
    }

    private Statement ParseBlock()
    {
        Bounds.Nesting(Current.Line);
        var line = Current.Line;
        var name = ExpectName();
        switch (name)
        {
            case "if":
                return ParseIf(line);
            case "for":
                return ParseFor(line);
            case "set":
                return ParseSet(line);
            case "macro":
                return ParseMacro(line);
            case "filter":
                var filters = ParseFilterChain();
                End(TokenKind.BlockEnd);
                return new FilterBlock(filters, ParseUntil("endfilter"), line);
            case "call":
                var target = ParseExpression() as Call ?? throw new JinjaException("{% call %} needs a call", line);
                End(TokenKind.BlockEnd);
                return new CallBlock(target, ParseUntil("endcall"), line);
            case "generation":
                // Marks the assistant's part for training; it prints as it stands.
                End(TokenKind.BlockEnd);
                return new Group(ParseUntil("endgeneration"), line);
            case "break":
            case "continue":
                End(TokenKind.BlockEnd);
                return new LoopControl(name == "break", line);
            default:
                throw new JinjaException($"the block '{name}' is not supported", line);
        }
    }

    private If ParseIf(int line)
    {
        var branches = new List<(Expression, IReadOnlyList<Statement>)>();
        var condition = ParseTuple();
        while (true)
        {
            End(TokenKind.BlockEnd);
            branches.Add((condition, ParseBody("elif", "else", "endif")));
            switch (Take().Value)
            {
                case "elif":
                    condition = ParseTuple();
                    continue;
                case "else":
                    End(TokenKind.BlockEnd);
                    return new If(branches, ParseUntil("endif"), line);
                default:
                    End(TokenKind.BlockEnd);
                    return new If(branches, [], line);
            }
        }
    }

    private For ParseFor(int line)
    {
        var targets = ParseTargets();
        if (!TakeName("in"))
            throw new JinjaException($"expected 'in', found {Current}", Current.Line);
        var items = ParseOr();
        var condition = TakeName("if") ? ParseExpression() : null;
        if (Current.IsName("recursive"))
            throw new JinjaException("'recursive' loops are not supported", line);
        End(TokenKind.BlockEnd);
        var body = ParseBody("else", "endfor");
        if (!TakeName("else"))
        {
            Take();
            End(TokenKind.BlockEnd);
            return new For(targets, items, condition, body, [], line);
        }

        End(TokenKind.BlockEnd);
        return new For(targets, items, condition, body, ParseUntil("endfor"), line);
    }

    private Statement ParseSet(int line)
    {
        var targets = ParseTargets();
        string? attribute = null;
        if (targets.Count == 1 && TakeIf("."))
            attribute = ExpectName();
        if (TakeIf("="))
        {
            var value = ParseTuple();
            End(TokenKind.BlockEnd);
            return new Set(targets, attribute, value, line);
        }

        var filters = TakeIf("|") ? ParseFilterChain() : [];
        End(TokenKind.BlockEnd);
        return targets.Count == 1 && attribute is null
            ? new SetBlock(targets[0], filters, ParseUntil("endset"), line)
            : throw new JinjaException("{% set %} without '=' takes one plain name", line);
    }

    private Macro ParseMacro(int line)
    {
        var name = ExpectName();
        var parameters = new List<(string, Expression?)>();
        Expect("(");
        while (!TakeIf(")"))
        {
            var parameter = ExpectName();
            parameters.Add((parameter, TakeIf("=") ? ParseExpression() : null));
            if (!Current.Is(")"))
                Expect(",");
        }

        End(TokenKind.BlockEnd);
        return new Macro(name, parameters, ParseUntil("endmacro"), line);
    }

    private List<(string Name, CallArguments Arguments)> ParseFilterChain()
    {
        var filters = new List<(string, CallArguments)> { ParseFilter() };
        while (TakeIf("|"))
            filters.Add(ParseFilter());
        return filters;
    }

    private List<string> ParseTargets()
    {
        var parenthesis = TakeIf("(");
        var names = new List<string> { ExpectName() };
        while (TakeIf(","))
            names.Add(ExpectName());
        if (parenthesis)
            Expect(")");
        return names;
    }

    private List<Statement> ParseUntil(string end)
    {
        var body = ParseBody(end);
        Take();
        End(TokenKind.BlockEnd);
        return body;
    }

    private void End(TokenKind kind)
    {
        if (Current.Kind != kind)
            throw new JinjaException($"expected the end of the tag, found {Current}", Current.Line);
        Take();
    }
}
