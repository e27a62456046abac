using System.Buffers.Binary;
using System.Text.Json;
using Moebius.Crds;

namespace Moebius.Inference.Checkpoints;

/// <summary>
/// Parses and validates the header of a safetensors file: eight bytes of little-endian header length, a JSON object of
/// name -> {dtype, shape, data_offsets}, then the data. Nothing in it is trusted: a file may come from anywhere.
/// Whatever the bytes are, the result is a list of tensors that lie inside the file and do not overlap, or a
/// <see cref="UserInputException"/>.
/// </summary>
internal static class SafetensorsHeader
{
    /// <summary>Bytes of the length field.</summary>
    public const int PrefixBytes = 8;

    /// <summary>The format's own limit on the header.</summary>
    public const long MaxHeaderBytes = 100_000_000;

    /// <summary>Reads the length field and checks it against the size of the file.</summary>
    public static int ReadLength(string file, ReadOnlySpan<byte> prefix, long fileBytes)
    {
        if (fileBytes < PrefixBytes || prefix.Length < PrefixBytes)
            throw Bad(file, $"is {fileBytes} bytes long; a safetensors file begins with an 8-byte header length");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxHeaderBytes)
            throw Bad(file, $"header length {length} is over the format's limit of {MaxHeaderBytes} bytes; the file is corrupt or not safetensors");
        if ((long)length > fileBytes - PrefixBytes)
            throw Bad(file, $"header length {length} is more than the {fileBytes - PrefixBytes} bytes that follow it; the file is truncated or corrupt");
        return (int)length;
    }

    /// <summary>Parses the JSON part. Entries come back ordered by offset, which is absolute in the file.</summary>
    public static List<TensorEntry> Parse(string file, ReadOnlyMemory<byte> json, long fileBytes)
    {
        long dataStart = PrefixBytes + json.Length;
        var dataBytes = fileBytes - dataStart;
        var entries = new List<TensorEntry>();
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw Bad(file, $"header is a JSON {document.RootElement.ValueKind}; it must be an object");
            var names = new HashSet<string>(StringComparer.Ordinal);
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (!names.Add(property.Name))
                    throw Bad(file, $"header names {Quote(property.Name)} twice; names must be unique");
                if (property.Name != "__metadata__")
                    entries.Add(ParseEntry(file, property, dataStart, dataBytes));
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // GetString throws InvalidOperationException for escapes that are not valid UTF-16.
            throw new UserInputException($"{file}: header is not valid JSON ({OneLine(e.Message)}); the file is corrupt", e);
        }
        entries.Sort((a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.Length.CompareTo(b.Length));
        CheckCoverage(file, entries, dataStart, fileBytes);
        return entries;
    }

    private static TensorEntry ParseEntry(string file, JsonProperty property, long dataStart, long dataBytes)
    {
        var name = property.Name;
        var value = property.Value;
        if (value.ValueKind != JsonValueKind.Object)
            throw Bad(file, name, $"is a JSON {value.ValueKind}; it must be an object with dtype, shape and data_offsets");
        // Of two, another reader may take the one and this the other.
        var fields = new HashSet<string>(StringComparer.Ordinal);
        if (value.EnumerateObject().FirstOrDefault(field => !fields.Add(field.Name)) is { Value.ValueKind: not JsonValueKind.Undefined } twice)
            throw Bad(file, name, $"has {OneLine(twice.Name)} twice");
        var typeName = value.TryGetProperty("dtype", out var dtype) && dtype.ValueKind == JsonValueKind.String ? dtype.GetString() : null;
        if (typeName is null || !TensorTypes.TryParse(typeName, out var type))
            throw Bad(file, name, $"has dtype {Show(value, "dtype")}; known are {TensorTypes.Known}");
        var shape = Integers(file, name, value, "shape");
        var offsets = Integers(file, name, value, "data_offsets");
        if (offsets.Length != 2 || offsets[0] > offsets[1] || offsets[1] > dataBytes)
            throw Bad(file, name, $"has data_offsets {TensorEntry.Text(offsets)}; they must be [begin, end] inside the {dataBytes} bytes of data");
        var length = offsets[1] - offsets[0];
        var expected = (UInt128)type.Bytes();
        foreach (var size in shape)
        {
            expected *= (UInt128)(ulong)size;
            // Checked at each step: the product of sizes must not wrap around before it is compared.
            if (expected > ulong.MaxValue)
                throw Bad(file, name, $"has shape {TensorEntry.Text(shape)}, more than {ulong.MaxValue} bytes");
        }
        if (expected != (UInt128)(ulong)length)
            throw Bad(file, name, $"has {length} bytes of data; dtype {typeName} and shape {TensorEntry.Text(shape)} make {expected}");
        return new TensorEntry(name, type, shape, dataStart + offsets[0], length);
    }

    private static long[] Integers(string file, string name, JsonElement value, string field)
    {
        if (value.TryGetProperty(field, out var array) && array.ValueKind == JsonValueKind.Array && array.GetArrayLength() <= 16)
        {
            var numbers = new long[array.GetArrayLength()];
            var valid = true;
            for (var i = 0; i < numbers.Length && valid; i++)
                valid = array[i].ValueKind == JsonValueKind.Number && array[i].TryGetInt64(out numbers[i]) && numbers[i] >= 0;
            if (valid)
                return numbers;
        }
        throw Bad(file, name, $"has {field} {Show(value, field)}; it must be a list of up to 16 non-negative integers");
    }

    /// <summary>The format allows neither overlap nor holes: both hide data that a reader of the header cannot see.</summary>
    private static void CheckCoverage(string file, List<TensorEntry> entries, long dataStart, long fileBytes)
    {
        var end = dataStart;
        TensorEntry? previous = null;
        foreach (var entry in entries)
        {
            if (entry.Offset < end)
                throw Bad(file, entry.Name, $"overlaps {Quote(previous!.Name)} in the data; tensors must not share bytes");
            if (entry.Offset > end)
                throw Bad(file, entry.Name, $"begins {entry.Offset - end} bytes after the end of the tensor before it; the data must have no holes");
            end = entry.Offset + entry.Length;
            previous = entry;
        }
        if (end != fileBytes)
            throw Bad(file, $"has {fileBytes - end} bytes after the last tensor; the file is corrupt");
    }

    private static UserInputException Bad(string file, string what) => new($"{file}: {what}");

    private static UserInputException Bad(string file, string tensor, string what) => new($"{file}: tensor {Quote(tensor)} {what}");

    private static string Show(JsonElement value, string field) =>
        value.TryGetProperty(field, out var v) ? OneLine(v.GetRawText()) : "(absent)";

    private static string Quote(string name) => $"\"{OneLine(name)}\"";

    /// <summary>Text from the file goes into a one-line message: no control characters, and not a megabyte of it.</summary>
    private static string OneLine(string text)
    {
        if (text.Length > 120)
            text = string.Concat(text.AsSpan(0, 120), "...");
        return string.Concat(text.Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c));
    }
}
