using System.Text.Json;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Constraints;
using Moebius.Inference.Tools;

namespace Moebius.Inference.Server;

/// <summary>What a request says about tools, checked: <c>tools</c>, <c>tool_choice</c> and <c>parallel_tool_calls</c>.</summary>
/// <param name="Offered">The tools that the model is told about; null: none.</param>
/// <param name="Parallel">It may call more than once in a turn.</param>
internal sealed record ToolRequest(JsonElement? Offered, bool Parallel)
{
    /// <summary>The model has to call.</summary>
    public bool Forced { get; private init; }

    /// <summary>The one tool that it has to call; null: any.</summary>
    public string? Named { get; private init; }

    /// <exception cref="ApiException">A field is wrong; the message names it.</exception>
    public static ToolRequest Read(RequestBody body)
    {
        var (forced, named, offered) = Choice(body);
        var parallel = body.Flag("parallel_tool_calls") ?? true;
        var tools = body.Get("tools");
        if (tools is { } list)
        {
            if (list.ValueKind != JsonValueKind.Array)
                throw body.Wrong("tools", "an array", list);
            foreach (var (tool, i) in list.EnumerateArray().Select((tool, i) => (tool, i)))
                Check(tool, $"tools[{i}]");
            tools = list.GetArrayLength() > 0 ? list : null;
        }

        if (forced && tools is null)
            throw ApiException.Invalid("tool_choice", "'tool_choice' asks for a call: 'tools' must say of what.");
        if (named is not null && !tools!.Value.EnumerateArray().Any(tool => Name(tool) == named))
            throw ApiException.Invalid("tool_choice", $"'tool_choice' names '{named}': 'tools' has no such function.");
        // They are asked for until the answer is complete, and the body is given up before.
        return new ToolRequest(offered ? tools?.Clone() : null, parallel) { Forced = forced, Named = named };
    }

    /// <summary>The tools of which one has to be called, and the grammars of their arguments; null where the model decides.</summary>
    /// <param name="goesOn">The field that wants to go on past the end; null where none does.</param>
    /// <exception cref="ApiException">A tool's parameters are a schema that cannot be kept; the message names it.</exception>
    public IReadOnlyList<(string Name, GrammarNode Arguments)>? Callable(string? goesOn)
    {
        if (!Forced)
            return null;
        if (goesOn is not null)
            throw ApiException.Invalid(goesOn, $"'{goesOn}' together with a 'tool_choice' that asks for a call is not supported: the call says where the output ends.");
        return [.. Offered!.Value.EnumerateArray().Select((tool, i) => (Name: Name(tool), Index: i, Tool: tool)).Where(entry => Named is null || entry.Name == Named)
            .Select(entry => (entry.Name, Arguments(entry.Tool, $"tools[{entry.Index}].function.parameters")))];
    }

    /// <summary>The grammar of an answer that is calls and nothing else but reasoning.</summary>
    /// <param name="callable">What <see cref="Callable"/> has said.</param>
    /// <param name="model">Says in which formats.</param>
    /// <param name="start">How the answer begins.</param>
    /// <exception cref="ApiException">A tool's name cannot be written in the model's format.</exception>
    public GrammarNode Grammar(IReadOnlyList<(string Name, GrammarNode Arguments)> callable, ServedModel model, ReasoningStart start)
    {
        if (start != ReasoningStart.Channels)
            return ReasoningFormat.Around(Named is not null ? callable[0].Arguments : JsonGrammar.ArrayOf(new ChoiceNode([.. callable.Select(Call)]), 1, Parallel ? null : 1), model.ReasoningParser, start);
        return callable.FirstOrDefault(tool => !HarmonyReader.IsName(tool.Name)) is { Name: { } name }
            ? throw ApiException.Invalid("tools", $"'tools' has a function '{name}': in this model's format a name has no blanks and no '<'.")
            : HarmonyGrammar.Call(callable, model.ReasoningParser == ReasoningParser.Harmony);
    }

    /// <summary>What is said of tools whose grammar turns out to be too ambiguous.</summary>
    public static ApiException TooAmbiguous() =>
        ApiException.Invalid("tools", "'tools': the schemas have too many readings of one text to be followed: give them fewer alternatives, or such that differ sooner.");

    /// <summary>What reads the answer.</summary>
    /// <param name="model">Says in which formats.</param>
    /// <param name="start">How the answer begins.</param>
    /// <param name="toFormat">The content keeps to a format that was asked for: it leaves no room for calls.</param>
    public IAnswerReader Reader(ServedModel model, ReasoningStart start, bool toFormat)
    {
        var reader = (Forced || toFormat) && start == ReasoningStart.Channels ? new HarmonyReader(Forced, model.ReasoningParser == ReasoningParser.Harmony, isKept: true)
            : Forced ? new GivenCallReader(Named)
            : toFormat ? new PlainReader()
            : AnswerFormat.Reader(model.ToolCallParser, model.ReasoningParser, Offered);
        return start is ReasoningStart.Inside or ReasoningStart.Possible || model.ReasoningParser == ReasoningParser.Granite
            ? new ReasoningReader(model.ReasoningParser, start, reader)
            : reader;
    }

    private static SequenceNode Call((string Name, GrammarNode Arguments) tool) => new(
        JsonGrammar.Exactly("{"), JsonGrammar.Pair("\"name\"", JsonGrammar.Exactly(SchemaKeywords.Json(JsonSerializer.SerializeToElement(tool.Name)))), JsonGrammar.Comma,
        JsonGrammar.Pair("\"arguments\"", tool.Arguments), JsonGrammar.Space, JsonGrammar.Exactly("}"));

    /// <summary>Arguments are an object, whatever else the schema says.</summary>
    private static GrammarNode Arguments(JsonElement tool, string field)
    {
        var function = tool.GetProperty("function");
        // Without parameters a function takes none.
        if (!function.TryGetProperty("parameters", out var schema) || schema.ValueKind == JsonValueKind.Null)
            return JsonGrammar.Exactly("{}");
        if (!schema.EnumerateObject().Any())
            return JsonGrammar.Object;
        if (!schema.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String || type.GetString() != "object")
            throw ApiException.Invalid($"{field}.type", $"'{field}.type' must be 'object' for a 'tool_choice' that asks for a call.");
        try
        {
            return JsonSchemaCompiler.Compile(schema);
        }
        catch (SchemaException error)
        {
            throw ApiException.Invalid(field, $"'{field}': {error.Message}.");
        }
    }

    private static (bool Forced, string? Named, bool Offered) Choice(RequestBody body)
    {
        if (body.Get("tool_choice") is not { } value)
            return (false, null, true);
        if (value.ValueKind is not (JsonValueKind.String or JsonValueKind.Object))
            throw body.Wrong("tool_choice", "a string or an object", value);
        if (value.ValueKind == JsonValueKind.String)
        {
            return value.GetString() switch
            {
                "auto" => (false, null, true),
                "none" => (false, null, false),
                "required" => (true, null, true),
                var other => throw ApiException.Invalid("tool_choice", $"'tool_choice' is '{other}': it must be 'none', 'auto', 'required' or an object that names a function."),
            };
        }

        var choice = body.Object("tool_choice")!;
        if (choice.Text("type") is var type && type != "function")
            throw ApiException.Invalid("tool_choice.type", $"'tool_choice.type' {(type is null ? "is required and" : $"is '{type}': it")} must be 'function'.");
        var function = choice.Object("function") ?? throw ApiException.Invalid("tool_choice.function", "'tool_choice.function' is required.", "missing_required_parameter");
        var name = function.Text("name") ?? throw ApiException.Invalid("tool_choice.function.name", "'tool_choice.function.name' is required.", "missing_required_parameter");
        function.RefuseOthers();
        choice.RefuseOthers();
        return (true, name, true);
    }

    private static string Name(JsonElement tool) => tool.GetProperty("function").GetProperty("name").GetString()!;

    private static void Check(JsonElement tool, string name)
    {
        if (tool.ValueKind != JsonValueKind.Object)
            throw RequestBody.WrongType(name, "an object", tool);
        if (!tool.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String || type.GetString() != "function")
            throw ApiException.Invalid($"{name}.type", $"'{name}.type' must be 'function'.");
        if (!tool.TryGetProperty("function", out var function) || function.ValueKind != JsonValueKind.Object)
            throw ApiException.Invalid($"{name}.function", $"'{name}.function' must be an object.");
        if (!function.TryGetProperty("name", out var called) || called.ValueKind != JsonValueKind.String || called.GetString()!.Length == 0)
            throw ApiException.Invalid($"{name}.function.name", $"'{name}.function.name' must be a text.");
        if (function.TryGetProperty("parameters", out var parameters) && parameters.ValueKind is not (JsonValueKind.Object or JsonValueKind.Null))
            throw RequestBody.WrongType($"{name}.function.parameters", "an object", parameters);
    }
}
