using System.Buffers;
using System.Text.Json;

namespace Moebius.Operator.Runtime;

/// <summary>
/// One change that a watch tells of. Only what says which state of which object it is has been read: most changes are one's
/// own writes, known from their answers, and not worth reading in full.
/// </summary>
/// <param name="Type">ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.</param>
/// <param name="Key">The object.</param>
/// <param name="ResourceVersion">Its version; null when it has none.</param>
/// <param name="Json">The object in UTF-8; valid until the next change is asked for.</param>
internal readonly record struct WatchEvent(string Type, ObjectKey Key, string? ResourceVersion, ReadOnlyMemory<byte> Json)
{
    /// <summary>Reads a line of a watch.</summary>
    /// <exception cref="JsonException">It is not a change.</exception>
    public static WatchEvent Parse(in ReadOnlySequence<byte> line)
    {
        var bytes = line.IsSingleSegment ? line.First : line.ToArray();
        var reader = new Utf8JsonReader(bytes.Span);
        string? type = null;
        var json = ReadOnlyMemory<byte>.Empty;
        (string? Namespace, string? Name, string? Version) metadata = default;
        Start(ref reader);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("type"u8))
            {
                reader.Read();
                type = reader.GetString();
            }
            else if (reader.ValueTextEquals("object"u8))
            {
                Start(ref reader);
                var start = (int)reader.TokenStartIndex;
                metadata = Metadata(ref reader);
                json = bytes[start..(int)reader.BytesConsumed];
            }
            else
            {
                reader.Skip();
            }
        }

        return type is null || json.IsEmpty
            ? throw new JsonException("a watch event without type or object")
            : new WatchEvent(type, new ObjectKey(metadata.Namespace, metadata.Name ?? ""), metadata.Version, json);
    }

    /// <summary>Goes to the end of an object, and takes its identity along.</summary>
    private static (string? Namespace, string? Name, string? Version) Metadata(ref Utf8JsonReader reader)
    {
        (string? Namespace, string? Name, string? Version) found = default;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (!reader.ValueTextEquals("metadata"u8))
            {
                reader.Skip();
                continue;
            }

            Start(ref reader);
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("name"u8))
                    found.Name = Text(ref reader);
                else if (reader.ValueTextEquals("namespace"u8))
                    found.Namespace = Text(ref reader);
                else if (reader.ValueTextEquals("resourceVersion"u8))
                    found.Version = Text(ref reader);
                else
                    reader.Skip();
            }
        }

        return found;
    }

    private static void Start(ref Utf8JsonReader reader)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw new JsonException("a watch event without type or object");
    }

    private static string? Text(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.String)
            return reader.GetString();
        reader.Skip();
        return null;
    }
}
