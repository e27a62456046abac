using System.Text.Json;

namespace Moebius.Inference.Server;

/// <summary>
/// A JSON object of a request, read field by field: every error names the field, and a field that nobody reads is an
/// error too.
/// </summary>
internal sealed class RequestBody
{
    private readonly JsonElement _root;
    private readonly string _prefix;
    private readonly HashSet<string> _read = [];

    public RequestBody(JsonElement root, string prefix = "")
    {
        _root = root;
        _prefix = prefix;
    }

    public string Name(string field) => _prefix + field;

    /// <summary>The field, or null where it is absent or null.</summary>
    public JsonElement? Get(string field)
    {
        _read.Add(field);
        return _root.TryGetProperty(field, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    public bool? Flag(string field) => Get(field) is not { } value ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(field, "a boolean", value),
    };

    public string? Text(string field) => Get(field) is not { } value ? null : String(value, Name(field));

    public int? Integer(string field, int least, int most)
    {
        if (Get(field) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out var number))
            throw NoInteger(field, value);
        return number >= least && number <= most
            ? (int)number
            : throw ApiException.Invalid(Name(field), $"'{Name(field)}' is {number}: it must be from {least} to {most}.");
    }

    public long? Long(string field) => Get(field) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) ? number : throw NoInteger(field, value);

    public double? Number(string field, double least, double most, bool aboveLeast = false)
    {
        if (Get(field) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out var number))
            throw Wrong(field, "a number", value);
        if (aboveLeast ? number > least && number <= most : number >= least && number <= most)
            return number;
        var range = aboveLeast ? FormattableString.Invariant($"above {least} and at most {most}") : FormattableString.Invariant($"from {least} to {most}");
        throw ApiException.Invalid(Name(field), FormattableString.Invariant($"'{Name(field)}' is {number}: it must be {range}."));
    }

    public RequestBody? Object(string field)
    {
        if (Get(field) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.Object ? new RequestBody(value, Name(field) + ".") : throw Wrong(field, "an object", value);
    }

    public IEnumerable<JsonProperty> Fields() => _root.EnumerateObject();

    /// <summary>Refuses fields that nothing has read. One that is null says nothing: clients write those that were not set.</summary>
    public void RefuseOthers()
    {
        foreach (var field in _root.EnumerateObject())
        {
            if (!_read.Contains(field.Name) && field.Value.ValueKind != JsonValueKind.Null)
                throw ApiException.Invalid(Name(field.Name), $"'{Name(field.Name)}' is not a parameter of this endpoint.", "unknown_parameter");
        }
    }

    private ApiException NoInteger(string field, JsonElement value) => value.ValueKind == JsonValueKind.Number
        ? ApiException.Invalid(Name(field), $"'{Name(field)}' must be an integer of at most 64 bits, not another number.", "invalid_type")
        : Wrong(field, "an integer", value);

    public ApiException Wrong(string field, string expected, JsonElement value) => WrongType(Name(field), expected, value);

    public static ApiException WrongType(string name, string expected, JsonElement value) =>
        ApiException.Invalid(name, $"'{name}' must be {expected}, not {Kind(value)}.", "invalid_type");

    public static string String(JsonElement value, string name) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw WrongType(name, "a string", value);

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.Null => "null",
        _ => "a boolean",
    };
}
