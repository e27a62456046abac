namespace Moebius.Inference.Text.Jinja;

/// <summary>An expression.</summary>
internal abstract record Expression(int Line);

internal sealed record Literal(object? Value, int Line) : Expression(Line);

internal sealed record Variable(string Name, int Line) : Expression(Line);

internal sealed record ListLiteral(IReadOnlyList<Expression> Items, bool Tuple, int Line) : Expression(Line);

internal sealed record MapLiteral(IReadOnlyList<(Expression Key, Expression Value)> Items, int Line) : Expression(Line);

internal sealed record Attribute(Expression Target, string Name, int Line) : Expression(Line);

internal sealed record Item(Expression Target, Expression Key, int Line) : Expression(Line);

internal sealed record Slice(Expression Target, Expression? Start, Expression? Stop, Expression? Step, int Line) : Expression(Line);

internal sealed record Call(Expression Target, CallArguments Arguments, int Line) : Expression(Line);

internal sealed record Filter(Expression Target, string Name, CallArguments Arguments, int Line) : Expression(Line);

internal sealed record Test(Expression Target, string Name, CallArguments Arguments, bool Negated, int Line) : Expression(Line);

internal sealed record Unary(string Operator, Expression Operand, int Line) : Expression(Line);

internal sealed record Binary(string Operator, Expression Left, Expression Right, int Line) : Expression(Line);

internal sealed record Comparison(Expression First, IReadOnlyList<(string Operator, Expression Right)> Rest, int Line) : Expression(Line);

internal sealed record Conditional(Expression Condition, Expression Then, Expression? Otherwise, int Line) : Expression(Line);

/// <summary>Arguments as written.</summary>
internal sealed record CallArguments(IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Named)
{
    public static CallArguments None { get; } = new([], []);
}

/// <summary>A statement.</summary>
internal abstract record Statement(int Line);

internal sealed record TextOutput(string Text, int Line) : Statement(Line);

internal sealed record Print(Expression Value, int Line) : Statement(Line);

internal sealed record If(IReadOnlyList<(Expression Condition, IReadOnlyList<Statement> Body)> Branches, IReadOnlyList<Statement> Otherwise, int Line) : Statement(Line);

internal sealed record For(IReadOnlyList<string> Targets, Expression Items, Expression? Condition, IReadOnlyList<Statement> Body, IReadOnlyList<Statement> Otherwise, int Line) : Statement(Line);

internal sealed record Set(IReadOnlyList<string> Targets, string? Attribute, Expression Value, int Line) : Statement(Line);

internal sealed record SetBlock(string Target, IReadOnlyList<(string Name, CallArguments Arguments)> Filters, IReadOnlyList<Statement> Body, int Line) : Statement(Line);

internal sealed record Macro(string Name, IReadOnlyList<(string Name, Expression? Default)> Parameters, IReadOnlyList<Statement> Body, int Line) : Statement(Line);

internal sealed record FilterBlock(IReadOnlyList<(string Name, CallArguments Arguments)> Filters, IReadOnlyList<Statement> Body, int Line) : Statement(Line);

internal sealed record CallBlock(Call Target, IReadOnlyList<Statement> Body, int Line) : Statement(Line);

internal sealed record Group(IReadOnlyList<Statement> Body, int Line) : Statement(Line);

internal sealed record LoopControl(bool Break, int Line) : Statement(Line);
