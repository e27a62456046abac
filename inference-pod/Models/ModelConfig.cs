using System.Text.Json;
using Moebius.Crds;
using Moebius.Crds.Host;

namespace Moebius.Inference.Models;

/// <summary>
/// Typed access to a <c>config.json</c>. Names that changed over the years are given as alternatives; the first one
/// that is present and not null wins. Every error names the file, the field, its value and what would be right.
/// </summary>
internal sealed class ModelConfig
{
    public const string FileName = "config.json";

    private readonly JsonElement _root;
    private readonly JsonElement? _defaults;
    private readonly HashSet<string> _read;

    private ModelConfig(string path, JsonElement root, JsonElement? defaults = null, HashSet<string>? read = null)
    {
        File = path;
        _root = root;
        _defaults = defaults;
        _read = read ?? new(StringComparer.Ordinal);
    }

    /// <summary>Path of the file (or of the object inside it), for messages.</summary>
    public string File { get; }

    /// <summary>The bytes as read, part of a model's identity.</summary>
    public byte[] Json => JsonSerializer.SerializeToUtf8Bytes(_root);

    public static ModelConfig Read(string directory)
    {
        if (!Directory.Exists(directory))
            throw new UserInputException($"{directory}: model directory does not exist; give a directory with config.json and model.safetensors");
        var path = Path.Combine(directory, FileName);
        if (!System.IO.File.Exists(path))
            throw new UserInputException($"{path}: is missing; a model directory needs config.json");
        return Parse(path, FileKinds.ReadAllBytes(path));
    }

    public static ModelConfig Parse(string path, byte[] json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new UserInputException($"{path}: is a JSON {document.RootElement.ValueKind}; it must be an object");
            CheckText(path, document.RootElement);
            return new ModelConfig(path, document.RootElement.Clone());
        }
        catch (JsonException e)
        {
            throw new UserInputException($"{path}: is not valid JSON ({e.Message.ReplaceLineEndings(" ")})", e);
        }
    }

    /// <summary>What JSON lets through and no text can hold is refused once, for whoever reads a field.</summary>
    private static void CheckText(string path, JsonElement config)
    {
        var at = "the name of a field";
        try
        {
            foreach (var property in config.EnumerateObject())
            {
                at = property.Name;
                Read(property.Value);
                at = "the name of a field";
            }
        }
        catch (InvalidOperationException e)
        {
            throw new UserInputException($"{path}: {at} is not text: it holds half of a surrogate pair, or bytes that are not UTF-8", e);
        }

        static void Read(JsonElement value)
        {
            if (value.ValueKind == JsonValueKind.String)
                _ = value.GetString();
            foreach (var element in value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : default)
                Read(element);
            foreach (var property in value.ValueKind == JsonValueKind.Object ? value.EnumerateObject() : default)
            {
                _ = property.Name;
                Read(property.Value);
            }
        }
    }

    /// <summary>The same fields over others that stand for those which are absent; a null is not an absent field.</summary>
    /// <param name="json">An object.</param>
    public ModelConfig WithDefaults(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        return new ModelConfig(File, _root, JsonElement.ParseValue(ref reader), _read);
    }

    /// <summary>Whether the field is there and not null.</summary>
    public bool Has(string name) => Find([name]) is not null;

    /// <summary>Whether somebody has asked for the field, here or in the same fields with defaults.</summary>
    public bool WasRead(string name) => _read.Contains(name);

    /// <summary>Counts fields as read that are of no interest for the other values.</summary>
    public void MayHave(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
            _read.Add(name);
    }

    public int Int(params ReadOnlySpan<string> names) => IntOrNull(names) ?? throw Missing(names[0]);

    public int Int(int fallback, params ReadOnlySpan<string> names) => IntOrNull(names) ?? fallback;

    public int? IntOrNull(params ReadOnlySpan<string> names)
    {
        if (Find(names) is not { } found)
            return null;
        if (found.Value.ValueKind == JsonValueKind.Number && found.Value.TryGetInt32(out var value))
            return value;
        throw Bad(found.Name, "an integer");
    }

    /// <summary>An integer that a shape is made of.</summary>
    public int Size(params ReadOnlySpan<string> names) => AtMost(ModelLimits.Size, names);

    /// <summary>A size of what a model has fewer of.</summary>
    public int AtMost(int most, params ReadOnlySpan<string> names)
    {
        var value = Int(names);
        return value >= 1 && value <= most ? value : throw Bad(Find(names)!.Value.Name, $"an integer from 1 to {most}");
    }

    /// <summary>How many there are of what a model may have none of.</summary>
    public int Count(int fallback, string name) => Int(fallback, name) is >= 0 and var count ? count : throw Bad(name, "an integer from 0");

    public int Size(int fallback, params ReadOnlySpan<string> names) => Find(names) is null ? fallback : Size(names);

    public double? NumberOrNull(params ReadOnlySpan<string> names)
    {
        if (Find(names) is not { } found)
            return null;
        if (found.Value.ValueKind == JsonValueKind.Number && found.Value.TryGetDouble(out var value) && double.IsFinite(value))
            return value;
        throw Bad(found.Name, "a finite number");
    }

    public double Number(params ReadOnlySpan<string> names) => NumberOrNull(names) ?? throw Missing(names[0]);

    public double Number(double fallback, params ReadOnlySpan<string> names) => NumberOrNull(names) ?? fallback;

    /// <summary>A switch. One that is on by default may be absent, but not null: that is off to the reference implementation.</summary>
    public bool Flag(bool fallback, string name) => Find([name]) is not { } found
        ? fallback && IsGiven([name]) ? throw Bad(name, "true or false") : fallback
        : found.Value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Bad(name, "true or false"),
        };

    public string? Text(params ReadOnlySpan<string> names) => Find(names) is not { } found
        ? null
        : found.Value.ValueKind == JsonValueKind.String ? found.Value.GetString() : throw Bad(found.Name, "a string");

    public IReadOnlyList<int> Integers(string name)
    {
        if (Find([name]) is not { } found)
            return [];
        if (found.Value.ValueKind == JsonValueKind.Number && found.Value.TryGetInt32(out var single))
            return [single];
        if (found.Value.ValueKind == JsonValueKind.Array && found.Value.EnumerateArray().All(e => e.ValueKind == JsonValueKind.Number && e.TryGetInt32(out _)))
            return [.. found.Value.EnumerateArray().Select(e => e.GetInt32())];
        throw Bad(name, "an integer or a list of integers");
    }

    public float[] Numbers(string name) =>
        Find([name]) is { } found && found.Value.ValueKind == JsonValueKind.Array && found.Value.EnumerateArray().All(e => e.ValueKind == JsonValueKind.Number)
            ? [.. found.Value.EnumerateArray().Select(e => e.GetSingle())]
            : throw Bad(name, "a list of numbers");

    public IReadOnlyList<string>? Texts(string name)
    {
        if (Find([name]) is not { } found)
            return null;
        return found.Value.ValueKind == JsonValueKind.Array && found.Value.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String)
            ? [.. found.Value.EnumerateArray().Select(e => e.GetString()!)]
            : throw Bad(name, "a list of strings");
    }

    /// <summary>A nested object, as a configuration of its own whose messages name the path.</summary>
    public ModelConfig? Object(string name)
    {
        if (Find([name]) is not { } found)
            return null;
        return found.Value.ValueKind == JsonValueKind.Object ? new ModelConfig($"{File}: {name}", found.Value) : throw Bad(name, "an object");
    }

    public bool IsEmpty => !_root.EnumerateObject().Any();

    public bool HasObjectInside() => _root.EnumerateObject().Any(p => p.Value.ValueKind == JsonValueKind.Object);

    /// <summary>The error for a field whose value cannot be honoured.</summary>
    public UserInputException Bad(string name, string expected)
    {
        var value = _root.TryGetProperty(name, out var v) ? string.Concat(v.GetRawText().ReplaceLineEndings(" ").Select(c => char.IsControl(c) ? ' ' : c)) : "(absent)";
        if (value.Length > 80)
            value = string.Concat(value.AsSpan(0, 80), "...");
        return new UserInputException($"{File}: {name} is {value}; supported is {expected}");
    }

    private UserInputException Missing(string name) => new($"{File}: {name} is missing");

    private bool IsGiven(ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (_root.TryGetProperty(name, out _))
                return true;
        }
        return false;
    }

    private (string Name, JsonElement Value)? Find(ReadOnlySpan<string> names)
    {
        MayHave(names);
        foreach (var name in names)
        {
            if (_root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null)
                return (name, value);
        }
        foreach (var name in names)
        {
            if (_defaults is { } defaults && defaults.TryGetProperty(name, out var value) && !IsGiven(names))
                return (name, value);
        }
        return null;
    }
}
