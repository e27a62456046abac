using System.Text.Json;

namespace Moebius.Inference.Constraints;

/// <summary>
/// Turns a JSON schema into a grammar whose every text is valid under it. What a grammar cannot guarantee is refused
/// by name, never ignored; only annotations are. Objects are written with their listed properties in the schema's
/// order.
/// </summary>
internal sealed class JsonSchemaCompiler
{
    private const int MostNodes = 10_000;
    private const int MostDepth = 64;
    private const int MostValues = 1_000;
    private const int MostProperties = 500;
    private const int MostCount = 100_000;

    private static readonly string[] Types = ["object", "array", "string", "integer", "number", "boolean", "null"];

    private readonly JsonElement _document;
    private readonly Dictionary<string, RuleNode> _rules = [];
    private int _nodes;

    private JsonSchemaCompiler(JsonElement document) => _document = document;

    /// <summary>Compiles a schema.</summary>
    /// <param name="schema">An object or a boolean.</param>
    /// <exception cref="SchemaException">The schema is wrong, too large, or says what is not supported.</exception>
    public static GrammarNode Compile(JsonElement schema)
    {
        var root = new JsonSchemaCompiler(schema).Schema(schema, "", [], 0);
        return GrammarCheck.CanEnd(root) ? root : throw new SchemaException("", "a part of it requires itself, so that no finite value is valid");
    }

    // Chain: the references that led here without a byte in between.
    private GrammarNode Schema(JsonElement element, string path, IReadOnlyList<string> chain, int depth)
    {
        Count(1);
        if (depth > MostDepth)
            throw new SchemaException(path, $"it is nested deeper than {MostDepth} levels");
        if (element.ValueKind == JsonValueKind.True)
            return JsonGrammar.Value;
        if (element.ValueKind == JsonValueKind.False)
            throw new SchemaException(path, "'false' allows no value at all");
        var schema = SchemaKeywords.Read(element, path);
        if (schema.Text("$ref") is { } reference)
            return Reference(reference, schema, chain, depth);
        if (schema.Get("anyOf") is { } alternatives)
            return Alternatives(alternatives, schema, chain, depth);
        if (schema.Get("allOf") is { } all)
        {
            schema.RefuseBeside("allOf");
            return all.ValueKind == JsonValueKind.Array && all.GetArrayLength() == 1
                ? Schema(all[0], path + "/allOf/0", chain, depth + 1)
                : throw new SchemaException(path + "/allOf", "only one schema in 'allOf' is supported: merge them into one");
        }

        var types = ReadTypes(schema);
        if (schema.Get("const") is { } value)
        {
            return schema.Get("enum") is { } both && !(both.ValueKind == JsonValueKind.Array && both.EnumerateArray().Any(item => JsonElement.DeepEquals(item, value)))
                ? throw new SchemaException(path + "/const", "it is none of the values of 'enum' beside it")
                : Values([value], "const", types, schema);
        }

        if (schema.Get("enum") is { } list)
        {
            return list.ValueKind == JsonValueKind.Array && list.GetArrayLength() is > 0 and <= MostValues
                ? Values([.. list.EnumerateArray()], "enum", types, schema)
                : throw new SchemaException(path + "/enum", $"it must be an array of 1 to {MostValues} values");
        }

        GrammarNode[] parts = [.. types.Select(type => OfType(type, schema, depth))];
        schema.RefuseOthers(types);
        return parts.Length == 0 ? JsonGrammar.Value : parts.Length == 1 ? parts[0] : new ChoiceNode(parts);
    }

    private void Count(int parts)
    {
        if ((_nodes += parts) > MostNodes)
            throw new SchemaException("", $"it has more than {MostNodes} parts");
    }

    private GrammarNode Reference(string reference, SchemaKeywords schema, IReadOnlyList<string> chain, int depth)
    {
        schema.RefuseBeside("$ref");
        var path = schema.Path + "/$ref";
        if (chain.Contains(reference))
            throw new SchemaException(path, $"'{reference}' refers to itself with nothing in between");
        if (_rules.TryGetValue(reference, out var known))
        {
            // Half-way rules were entered through an object or an array, or they would be in the chain.
            return known;
        }

        var target = _document;
        var segments = reference.Split('/');
        if (segments[0] != "#" || segments.Length is not (1 or 3) || (segments.Length == 3 && segments[1] is not ("$defs" or "definitions")))
            throw new SchemaException(path, $"'{reference}' is not supported: use '#', '#/$defs/NAME' or '#/definitions/NAME'");
        foreach (var segment in segments.Skip(1).Select(segment => segment.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)))
        {
            if (target.ValueKind != JsonValueKind.Object || !target.TryGetProperty(segment, out target))
                throw new SchemaException(path, $"'{reference}' is not in the schema");
        }

        var rule = new RuleNode();
        _rules.Add(reference, rule);
        rule.Target = Schema(target, reference[1..], [.. chain, reference], depth + 1);
        return rule;
    }

    private ChoiceNode Alternatives(JsonElement list, SchemaKeywords schema, IReadOnlyList<string> chain, int depth)
    {
        schema.RefuseBeside("anyOf");
        return list.ValueKind == JsonValueKind.Array && list.GetArrayLength() > 0
            ? new ChoiceNode([.. list.EnumerateArray().Select((item, i) => Schema(item, $"{schema.Path}/anyOf/{i}", chain, depth + 1))])
            : throw new SchemaException(schema.Path + "/anyOf", "it must be an array of at least one schema");
    }

    private static IReadOnlyList<string> ReadTypes(SchemaKeywords schema)
    {
        if (schema.Get("type") is not { } type)
            return schema.ImpliedTypes();
        string?[] names = type.ValueKind switch
        {
            JsonValueKind.String => [type.GetString()],
            JsonValueKind.Array when type.GetArrayLength() > 0 => [.. type.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.String ? item.GetString() : null)],
            _ => [null],
        };
        return names.All(name => Types.Contains(name))
            ? [.. names.OfType<string>().Distinct()]
            : throw new SchemaException(schema.Path + "/type", $"it must be one or more of {string.Join(", ", Types)}");
    }

    private static GrammarNode Values(IReadOnlyList<JsonElement> values, string keyword, IReadOnlyList<string> types, SchemaKeywords schema)
    {
        schema.RefuseOthers(types);
        var fitting = values.Where(value => types.Count == 0 || types.Any(type => IsOf(value, type))).Select(SchemaKeywords.Json).Distinct().ToList();
        return fitting.Count == 0
            ? throw new SchemaException($"{schema.Path}/{keyword}", $"no value is of type {string.Join(" or ", types)}")
            : new ChoiceNode([.. fitting.Select(JsonGrammar.Exactly)]);
    }

    private static bool IsOf(JsonElement value, string type) => value.ValueKind switch
    {
        JsonValueKind.Object => type == "object",
        JsonValueKind.Array => type == "array",
        JsonValueKind.String => type == "string",
        JsonValueKind.Number => type == "number" || (type == "integer" && value.TryGetDouble(out var number) && double.IsInteger(number)),
        JsonValueKind.Null => type == "null",
        _ => type == "boolean",
    };

    private GrammarNode OfType(string type, SchemaKeywords schema, int depth) => type switch
    {
        "object" => Object(schema, depth),
        "array" => Array(schema, depth),
        "string" => String(schema),
        "integer" => Integer(schema),
        "number" => JsonGrammar.Number,
        "boolean" => JsonGrammar.Boolean,
        _ => JsonGrammar.Null,
    };

    private static GrammarNode String(SchemaKeywords schema)
    {
        var (least, most) = schema.Counts("minLength", "maxLength", MostCount);
        return JsonGrammar.StringOf(least, most);
    }

    private GrammarNode Array(SchemaKeywords schema, int depth)
    {
        var (least, most) = schema.Counts("minItems", "maxItems", MostCount);
        var item = schema.Get("items") is { } items ? Schema(items, schema.Path + "/items", [], depth + 1) : JsonGrammar.Value;
        return JsonGrammar.ArrayOf(item, least, most);
    }

    private GrammarNode Integer(SchemaKeywords schema)
    {
        var least = Math.Max(schema.Long("minimum") ?? -IntegerRange.Largest, schema.Long("exclusiveMinimum") + 1 ?? -IntegerRange.Largest);
        var most = Math.Min(schema.Long("maximum") ?? IntegerRange.Largest, schema.Long("exclusiveMaximum") - 1 ?? IntegerRange.Largest);
        if (least > most || least > IntegerRange.Largest || most < -IntegerRange.Largest)
            throw new SchemaException(schema.Path, $"no integer of at most 15 digits is from {least} to {most}");
        if (least == -IntegerRange.Largest && most == IntegerRange.Largest)
            return JsonGrammar.Integer;
        // Each digit of a bound has parts of its own.
        Count(FormattableString.Invariant($"{least}{most}").Length);
        return IntegerRange.Between(least, most);
    }

    private GrammarNode Object(SchemaKeywords schema, int depth)
    {
        var required = schema.Names("required").ToHashSet();
        var additional = schema.Get("additionalProperties");
        var listed = schema.Members("properties");
        var unlisted = required.Except(listed.Select(member => member.Name)).ToList();
        if (listed.Count + unlisted.Count > MostProperties)
            throw new SchemaException(schema.Path, $"it has more than {MostProperties} properties");
        if (listed.Count + unlisted.Count == 0)
        {
            return additional is not { } values || values.ValueKind == JsonValueKind.True ? JsonGrammar.Object
                : values.ValueKind == JsonValueKind.False ? JsonGrammar.Exactly("{}")
                : JsonGrammar.Map(Schema(values, schema.Path + "/additionalProperties", [], depth + 1));
        }

        var pairs = listed.Select(member => (Pair: JsonGrammar.Pair(SchemaKeywords.Json(member.Name), Schema(member.Value, $"{schema.Path}/properties/{member.Name}", [], depth + 1)), Required: required.Contains(member.Name))).ToList();
        foreach (var name in unlisted)
        {
            if (additional is { ValueKind: JsonValueKind.False })
                throw new SchemaException(schema.Path + "/required", $"'{name}' is required, and 'properties' and 'additionalProperties' do not allow it");
            var value = additional is { } rest ? Schema(rest, schema.Path + "/additionalProperties", [], depth + 1) : JsonGrammar.Value;
            pairs.Add((JsonGrammar.Pair(SchemaKeywords.Json(name), value), true));
        }

        // What may follow when no pair is written yet, and when one is: a comma goes before each but the first.
        GrammarNode first = new SequenceNode(), later = first;
        for (var i = pairs.Count - 1; i >= 0; i--)
        {
            var (pair, mandatory) = pairs[i];
            GrammarNode begin = new SequenceNode(pair, later), more = new SequenceNode(JsonGrammar.Comma, pair, later);
            first = mandatory ? begin : new ChoiceNode(begin, first);
            later = mandatory ? more : new ChoiceNode(more, later);
        }

        return new SequenceNode(JsonGrammar.Exactly("{"), first, JsonGrammar.Space, JsonGrammar.Exactly("}"));
    }
}
