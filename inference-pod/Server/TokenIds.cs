using System.Text.Json;

namespace Moebius.Inference.Server;

/// <summary>Lists of token ids in requests.</summary>
internal static class TokenIds
{
    /// <summary>Reads one.</summary>
    /// <param name="array">A JSON array.</param>
    /// <param name="name">Names it in errors.</param>
    /// <param name="vocabulary">Ids are below this.</param>
    /// <exception cref="ApiException">Something in it is no token of the model.</exception>
    public static int[] Read(JsonElement array, string name, int vocabulary) => [.. array.EnumerateArray().Select((item, i) =>
        item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id) && id >= 0 && id < vocabulary
            ? id
            : throw ApiException.Invalid($"{name}[{i}]", $"'{name}[{i}]' must be a token id from 0 to {vocabulary - 1}."))];
}
