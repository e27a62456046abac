using System.Text;
using System.Text.Json;
using Moebius.Inference.Text.Jinja;

namespace Moebius.Inference.Server;

/// <summary>
/// Integers of requests, which templates have with all of their digits: to read and to write one takes the square of their number,
/// or nearly. The bound is that of Python, in which templates run elsewhere.
/// </summary>
internal static class JsonIntegers
{
    /// <summary>Whether a reader is at an integer that has more digits than are read.</summary>
    public static bool IsTooLong(in Utf8JsonReader reader) =>
        reader.TokenType == JsonTokenType.Number && reader.ValueSpan.Length > Bounds.MostDigits
        && reader.ValueSpan.Length - (reader.ValueSpan[0] == '-' ? 1 : 0) > Bounds.MostDigits
        && reader.ValueSpan.IndexOfAny((byte)'.', (byte)'e', (byte)'E') < 0;

    /// <summary>Whether a text of JSON has one.</summary>
    /// <param name="json">Valid JSON.</param>
    /// <param name="levels">Levels that it has at most.</param>
    public static bool AreTooLong(string json, int levels)
    {
        if (json.Length <= Bounds.MostDigits)
            return false;
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(json), new JsonReaderOptions { MaxDepth = levels });
        while (reader.Read())
        {
            if (IsTooLong(reader))
                return true;
        }

        return false;
    }

    public static ApiException TooLong(string name) =>
        ApiException.Invalid(name, $"'{name}' has an integer of more than {Bounds.MostDigits} digits: send it as a text, or rounded.");

    /// <summary>The field whose value begins at a place of a body, as errors name it.</summary>
    /// <param name="body">Valid JSON up to there.</param>
    /// <param name="place">Bytes before the value.</param>
    /// <param name="levels">Levels that the body has at most.</param>
    public static string NameAt(ReadOnlySpan<byte> body, long place, int levels)
    {
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = levels });
        // For each level that is open, the name of its field or the number of its item.
        var path = new List<(string? Field, int Item)>();
        while (reader.Read() && reader.TokenStartIndex <= place)
        {
            if (reader.TokenType is JsonTokenType.EndObject or JsonTokenType.EndArray)
            {
                path.RemoveAt(path.Count - 1);
                continue;
            }

            if (reader.TokenType == JsonTokenType.PropertyName)
            {
                path[^1] = (reader.GetString(), 0);
                continue;
            }

            if (path.Count > 0 && path[^1].Field is null)
                path[^1] = (null, path[^1].Item + 1);
            if (reader.TokenType == JsonTokenType.StartObject)
                path.Add(("", 0));
            else if (reader.TokenType == JsonTokenType.StartArray)
                path.Add((null, -1));
        }

        var name = new StringBuilder();
        foreach (var (field, item) in path)
            _ = field is null ? name.Append('[').Append(item).Append(']') : name.Append(name.Length > 0 ? "." : "").Append(field);
        return name.ToString();
    }
}
