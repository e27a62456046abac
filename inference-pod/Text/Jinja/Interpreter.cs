using System.Text;

namespace Moebius.Inference.Text.Jinja;

/// <summary>Runs a template.</summary>
internal sealed class Interpreter(TimeProvider clock)
{
    private const int LargestOutput = 1 << 24;
    private const int LongestRange = 100_000;

    /// <summary>A conversation takes milliseconds. Loops in one another can take hours, and nobody else's request may wait for them.</summary>
    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(10);

    private readonly long _start = clock.GetTimestamp();
    private StringBuilder _output = new();
    private int _macroDepth;

    public string Run(IReadOnlyList<Statement> body, IReadOnlyDictionary<string, object?> variables)
    {
        var scope = new Scope(null);
        foreach (var (name, value) in Globals())
            scope.Variables[name] = value;
        foreach (var (name, value) in variables)
            scope.Variables[name] = value;
        Execute(body, new Scope(scope));
        return _output.ToString();
    }

    private enum Flow
    {
        Next,
        Break,
        Continue,
    }

    private Dictionary<string, object?> Globals() => new()
    {
        ["range"] = new Callable("range", Range),
        ["namespace"] = new Callable("namespace", arguments => new Namespace(Methods.ToMap(arguments, "namespace").ToDictionary(field => Python.Str(field.Key), field => field.Value))),
        ["dict"] = new Callable("dict", arguments => Methods.ToMap(arguments, "dict")),
        ["raise_exception"] = new Callable("raise_exception", arguments => throw new JinjaException(Python.Str(arguments.Check("raise_exception", "message").Get(0, "message", ""))) { ByTemplate = true }),
        ["strftime_now"] = new Callable("strftime_now", arguments => Methods.FormatTime(clock.GetLocalNow(), Python.Text(arguments.Check("strftime_now", "format").Get(0, "format"), "format"))),
    };

    private static JinjaList Range(Arguments arguments)
    {
        var first = Python.Integer(arguments.Check("range", "start", "stop", "step").Get(0, "start"), "range");
        var (start, stop) = arguments.Positional.Count > 1 ? (first, Python.Integer(arguments.Positional[1], "range")) : (0, first);
        var step = arguments.Positional.Count > 2 ? Python.Integer(arguments.Positional[2], "range") : 1;
        // In more bits: between the ends of 64 lie more numbers than these hold.
        var count = step == 0 ? Int128.MaxValue : ((Int128)stop - start + step - Int128.Sign(step)) / step;
        if (count > LongestRange)
            throw new JinjaException($"'range' must have a step and at most {LongestRange} items");
        return new JinjaList([.. Enumerable.Range(0, (int)Int128.Max(0, count)).Select(i => (object?)(start + (i * step)))]);
    }

    private Flow Execute(IReadOnlyList<Statement> body, Scope scope)
    {
        foreach (var statement in body)
        {
            var flow = Execute(statement, scope);
            if (flow != Flow.Next)
                return flow;
        }

        return Flow.Next;
    }

    private Flow Execute(Statement statement, Scope scope)
    {
        Bounds.Nesting(statement.Line);
        if (clock.GetElapsedTime(_start) > MostTime)
            throw new JinjaException($"the template takes more than {MostTime.TotalSeconds:0} seconds", statement.Line);
        switch (statement)
        {
            case TextOutput text:
                Write(text.Text, text.Line);
                return Flow.Next;
            case Print print:
                Write(At(print.Line, () => Python.Str(Evaluate(print.Value, scope))), print.Line);
                return Flow.Next;
            case If conditional:
                foreach (var (condition, branch) in conditional.Branches)
                {
                    if (Python.Truth(Evaluate(condition, scope)))
                        return Execute(branch, scope);
                }

                return Execute(conditional.Otherwise, scope);
            case For loop:
                Loop(loop, scope);
                return Flow.Next;
            case Set set:
                Assign(set, scope);
                return Flow.Next;
            case SetBlock block:
                scope.Variables[block.Target] = Filtered(Capture(block.Body, scope), block.Filters, scope);
                return Flow.Next;
            case FilterBlock block:
                Write(Python.Str(Filtered(Capture(block.Body, scope), block.Filters, scope)), block.Line);
                return Flow.Next;
            case Macro macro:
                scope.Variables[macro.Name] = Define(macro, scope);
                return Flow.Next;
            case CallBlock block:
                var caller = new Callable("caller", _ => Capture(block.Body, new Scope(scope)));
                Write(Python.Str(Invoke(Evaluate(block.Target.Target, scope), Arguments(block.Target.Arguments, scope, ("caller", caller)), block.Line)), block.Line);
                return Flow.Next;
            case Group group:
                return Execute(group.Body, scope);
            case LoopControl control:
                return control.Break ? Flow.Break : Flow.Continue;
            default:
                throw new JinjaException($"the statement {statement.GetType().Name} is not supported", statement.Line);
        }
    }

    private void Write(string text, int line)
    {
        if (_output.Length + text.Length > LargestOutput)
            throw new JinjaException("the output is too long", line);
        _output.Append(text);
    }

    private string Capture(IReadOnlyList<Statement> body, Scope scope)
    {
        var outer = _output;
        _output = new StringBuilder();
        try
        {
            Execute(body, new Scope(scope));
            return _output.ToString();
        }
        finally
        {
            _output = outer;
        }
    }

    private object? Filtered(object? value, IReadOnlyList<(string Name, CallArguments Arguments)> filters, Scope scope) =>
        filters.Aggregate(value, (current, filter) => Filters.Apply(filter.Name, current, Arguments(filter.Arguments, scope)));

    private void Assign(Set set, Scope scope)
    {
        var value = Evaluate(set.Value, scope);
        if (set.Attribute is { } attribute)
        {
            if (scope.Find(set.Targets[0]) is not Namespace space)
                throw new JinjaException($"'{set.Targets[0]}.{attribute}' can be set only where '{set.Targets[0]}' is a namespace", set.Line);
            space.Fields[attribute] = value;
            return;
        }

        Bind(set.Targets, value, scope, set.Line);
    }

    private static void Bind(IReadOnlyList<string> targets, object? value, Scope scope, int line)
    {
        if (targets.Count == 1)
        {
            scope.Variables[targets[0]] = value;
            return;
        }

        var parts = Python.Items(value);
        if (parts.Count != targets.Count)
            throw new JinjaException($"{parts.Count} values cannot be given to {targets.Count} names", line);
        for (var i = 0; i < parts.Count; i++)
            scope.Variables[targets[i]] = parts[i];
    }

    private void Loop(For loop, Scope scope)
    {
        var items = At(loop.Line, () => Python.Items(Evaluate(loop.Items, scope)));
        if (loop.Condition is { } condition)
        {
            items = [.. items.Where(item =>
            {
                var inner = new Scope(scope);
                Bind(loop.Targets, item, inner, loop.Line);
                return Python.Truth(Evaluate(condition, inner));
            })];
        }

        if (items.Count == 0)
        {
            Execute(loop.Otherwise, scope);
            return;
        }

        for (var i = 0; i < items.Count; i++)
        {
            var inner = new Scope(scope);
            Bind(loop.Targets, items[i], inner, loop.Line);
            inner.Variables["loop"] = LoopVariable(items, i);
            if (Execute(loop.Body, inner) == Flow.Break)
                return;
        }
    }

    private static JinjaMap LoopVariable(List<object?> items, int index) => new()
    {
        { "index", index + 1L },
        { "index0", (long)index },
        { "revindex", (long)(items.Count - index) },
        { "revindex0", (long)(items.Count - index - 1) },
        { "first", index == 0 },
        { "last", index == items.Count - 1 },
        { "length", (long)items.Count },
        { "previtem", index > 0 ? items[index - 1] : new Undefined("'previtem'") },
        { "nextitem", index + 1 < items.Count ? items[index + 1] : new Undefined("'nextitem'") },
        { "cycle", new Callable("cycle", arguments => arguments.Positional.Count > 0 ? arguments.Positional[index % arguments.Positional.Count] : throw new JinjaException("'cycle' needs an item")) },
    };

    private Callable Define(Macro macro, Scope scope) => new(macro.Name, arguments =>
    {
        if (arguments.Positional.Count > macro.Parameters.Count)
            throw new JinjaException($"the macro '{macro.Name}' takes {macro.Parameters.Count} arguments, {arguments.Positional.Count} were given", macro.Line);
        foreach (var name in arguments.Named.Keys)
        {
            if (name != "caller" && !macro.Parameters.Any(parameter => parameter.Name == name))
                throw new JinjaException($"the macro '{macro.Name}' has no parameter '{name}'", macro.Line);
        }

        if (++_macroDepth > 100)
            throw new JinjaException($"the macro '{macro.Name}' calls itself too deeply", macro.Line);
        var inner = new Scope(scope);
        for (var i = 0; i < macro.Parameters.Count; i++)
        {
            var (name, otherwise) = macro.Parameters[i];
            inner.Variables[name] = arguments.Has(i, name)
                ? arguments.Get(i, name)
                : otherwise is null ? new Undefined($"parameter '{name}'") : Evaluate(otherwise, inner);
        }

        if (arguments.Named.TryGetValue("caller", out var caller))
            inner.Variables["caller"] = caller;
        var result = Capture(macro.Body, inner);
        _macroDepth--;
        return result;
    });

    private object? Evaluate(Expression expression, Scope scope) => At(expression.Line, () => expression switch
    {
        Literal literal => literal.Value,
        Variable variable => scope.Find(variable.Name),
        ListLiteral list => new JinjaList([.. list.Items.Select(item => Evaluate(item, scope))], list.Tuple),
        MapLiteral map => NewMap(map, scope),
        Attribute attribute => Operations.Attribute(Evaluate(attribute.Target, scope), attribute.Name),
        Item item => Operations.Item(Evaluate(item.Target, scope), Evaluate(item.Key, scope)),
        Slice slice => Operations.Slice(Evaluate(slice.Target, scope), Optional(slice.Start, scope), Optional(slice.Stop, scope), Optional(slice.Step, scope)),
        Call call => Invoke(Evaluate(call.Target, scope), Arguments(call.Arguments, scope), call.Line),
        Filter filter => Filters.Apply(filter.Name, Evaluate(filter.Target, scope), Arguments(filter.Arguments, scope)),
        Test test => Tests.Check(test.Name, Evaluate(test.Target, scope), Arguments(test.Arguments, scope)) != test.Negated,
        Unary { Operator: "not" } not => !Python.Truth(Evaluate(not.Operand, scope)),
        Unary { Operator: "-" } minus => Operations.Negate(Evaluate(minus.Operand, scope)),
        Unary plus => Evaluate(plus.Operand, scope),
        Binary { Operator: "and" } and => Evaluate(and.Left, scope) is var left && Python.Truth(left) ? Evaluate(and.Right, scope) : left,
        Binary { Operator: "or" } or => Evaluate(or.Left, scope) is var left && Python.Truth(left) ? left : Evaluate(or.Right, scope),
        Binary binary => Operations.Apply(binary.Operator, Evaluate(binary.Left, scope), Evaluate(binary.Right, scope)),
        Comparison comparison => Compare(comparison, scope),
        Conditional conditional => Python.Truth(Evaluate(conditional.Condition, scope))
            ? Evaluate(conditional.Then, scope)
            : conditional.Otherwise is null ? new Undefined("a condition without 'else'") : Evaluate(conditional.Otherwise, scope),
        _ => throw new JinjaException($"the expression {expression.GetType().Name} is not supported"),
    });

    private object? Optional(Expression? expression, Scope scope) => expression is null ? null : Evaluate(expression, scope);

    private JinjaMap NewMap(MapLiteral literal, Scope scope)
    {
        var map = new JinjaMap();
        foreach (var (key, value) in literal.Items)
            map[Evaluate(key, scope) ?? throw new JinjaException("a key must not be none")] = Evaluate(value, scope);
        return map;
    }

    private object Compare(Comparison comparison, Scope scope)
    {
        var left = Evaluate(comparison.First, scope);
        foreach (var (symbol, next) in comparison.Rest)
        {
            var right = Evaluate(next, scope);
            var holds = symbol switch
            {
                "==" => Python.Same(left, right),
                "!=" => !Python.Same(left, right),
                "<" => Python.Compare(left, right) < 0,
                ">" => Python.Compare(left, right) > 0,
                "<=" => Python.Compare(left, right) <= 0,
                ">=" => Python.Compare(left, right) >= 0,
                "in" => Python.Contains(right, left),
                _ => !Python.Contains(right, left),
            };
            if (!holds)
                return false;
            left = right;
        }

        return true;
    }

    private static object? Invoke(object? target, Arguments arguments, int line) => target is Callable callable
        ? callable.Invoke(arguments)
        : throw new JinjaException($"{Python.TypeName(target)} cannot be called", line);

    private Arguments Arguments(CallArguments arguments, Scope scope, params ReadOnlySpan<(string Name, object? Value)> more)
    {
        if (arguments.Positional.Count == 0 && arguments.Named.Count == 0 && more.IsEmpty)
            return Jinja.Arguments.None;
        var named = arguments.Named.ToDictionary(argument => argument.Name, argument => Evaluate(argument.Value, scope));
        foreach (var (name, value) in more)
            named[name] = value;
        return new Arguments([.. arguments.Positional.Select(argument => Evaluate(argument, scope))], named);
    }

    /// <summary>Adds the line to a message that has none.</summary>
    private static T At<T>(int line, Func<T> action)
    {
        Bounds.Nesting(line);
        try
        {
            return action();
        }
        catch (JinjaException error) when (!error.ByTemplate && !error.Message.StartsWith("line ", StringComparison.Ordinal))
        {
            throw new JinjaException(error.Message, line);
        }
    }

    private sealed class Scope(Scope? parent)
    {
        public Dictionary<string, object?> Variables { get; } = new(StringComparer.Ordinal);

        public object? Find(string name)
        {
            for (var scope = this; scope is not null; scope = scope._parent)
            {
                if (scope.Variables.TryGetValue(name, out var value))
                    return value;
            }

            return new Undefined($"'{name}'");
        }

        private readonly Scope? _parent = parent;
    }
}
