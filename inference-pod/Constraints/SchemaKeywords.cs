using System.Text.Json;
using Moebius.Inference.Text;

namespace Moebius.Inference.Constraints;

/// <summary>The keywords of one schema object, read with their checks.</summary>
internal sealed class SchemaKeywords
{
    private static readonly HashSet<string> Annotations = ["$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"];

    private static readonly Dictionary<string, string[]> OfType = new()
    {
        ["object"] = ["properties", "required", "additionalProperties"],
        ["array"] = ["items", "minItems", "maxItems"],
        ["string"] = ["minLength", "maxLength"],
        ["integer"] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
    };

    private readonly Dictionary<string, JsonElement> _keywords;

    private SchemaKeywords(Dictionary<string, JsonElement> keywords, string path)
    {
        _keywords = keywords;
        Path = path;
    }

    /// <summary>Where the schema is.</summary>
    public string Path { get; }

    /// <exception cref="SchemaException">It is not an object.</exception>
    public static SchemaKeywords Read(JsonElement schema, string path)
    {
        if (schema.ValueKind != JsonValueKind.Object)
            throw new SchemaException(path, "a schema must be an object or a boolean");
        var keywords = new Dictionary<string, JsonElement>();
        foreach (var member in schema.EnumerateObject().Where(member => !Annotations.Contains(member.Name)))
            keywords[member.Name] = member.Value;
        return new SchemaKeywords(keywords, path);
    }

    /// <summary>A value as JSON without blanks, with no more escapes than it needs.</summary>
    public static string Json<T>(T value) => JsonSerializer.Serialize(value, JsonStyles.Plain);

    public JsonElement? Get(string keyword) => _keywords.TryGetValue(keyword, out var value) ? value : null;

    public string? Text(string keyword) => Get(keyword) is not { } value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(keyword, "a string");

    /// <summary>A bound of an integer; whole, since JSON writes 1.0 for 1 too.</summary>
    public long? Long(string keyword) => Get(keyword) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsInteger(number) && Math.Abs(number) < 1e18
            ? (long)number : throw Wrong(keyword, "an integer");

    /// <summary>A pair of counts, the second at least the first.</summary>
    public (int Least, int? Most) Counts(string least, string most, int limit)
    {
        var (from, to) = (Count(least) ?? 0, Count(most));
        return to < from ? throw new SchemaException($"{Path}/{most}", $"{to} is less than {least} ({from})") : (from, to);

        int? Count(string keyword) => Long(keyword) is not { } count ? null
            : count >= 0 && count <= limit ? (int)count : throw Wrong(keyword, $"from 0 to {limit}");
    }

    public IReadOnlyList<string> Names(string keyword) => Get(keyword) is not { } list ? []
        : list.ValueKind == JsonValueKind.Array && list.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String)
            ? [.. list.EnumerateArray().Select(item => item.GetString()!).Distinct()] : throw Wrong(keyword, "an array of strings");

    /// <summary>Members of an object; of a name given twice, the last.</summary>
    public IReadOnlyList<JsonProperty> Members(string keyword) => Get(keyword) is not { } value ? []
        : value.ValueKind == JsonValueKind.Object ? [.. value.EnumerateObject().GroupBy(member => member.Name).Select(group => group.Last())] : throw Wrong(keyword, "an object");

    /// <summary>The type that the other keywords speak of, or none.</summary>
    public IReadOnlyList<string> ImpliedTypes()
    {
        string[] types = [.. OfType.Where(type => type.Value.Any(_keywords.ContainsKey)).Select(type => type.Key)];
        return types.Length <= 1 ? types : throw new SchemaException(Path, $"give 'type': the keywords speak of {string.Join(" and ", types)}");
    }

    /// <summary>Refuses what has no meaning for any of the types, or one that is not supported.</summary>
    public void RefuseOthers(IReadOnlyList<string> types)
    {
        string[] allowed = ["type", "enum", "const", .. types.SelectMany(type => OfType.GetValueOrDefault(type, []))];
        foreach (var keyword in _keywords.Keys.Where(keyword => !allowed.Contains(keyword)))
        {
            throw new SchemaException($"{Path}/{keyword}", types.Count == 0 || OfType.Values.All(names => !names.Contains(keyword))
                ? $"the keyword '{keyword}' is not supported"
                : $"the keyword '{keyword}' is not supported for type {string.Join(" or ", types)}");
        }

        if (Get("enum") is not null || Get("const") is not null)
            RefuseAllBut("enum", "const", "type");
    }

    /// <summary>Refuses what stands beside a keyword that says everything.</summary>
    public void RefuseBeside(string keyword) => RefuseAllBut(keyword);

    private void RefuseAllBut(params ReadOnlySpan<string> allowed)
    {
        foreach (var keyword in _keywords.Keys)
        {
            if (!allowed.Contains(keyword))
                throw new SchemaException($"{Path}/{keyword}", $"'{keyword}' beside '{allowed[0]}' is not supported");
        }
    }

    private SchemaException Wrong(string keyword, string expected) => new($"{Path}/{keyword}", $"it must be {expected}");
}
