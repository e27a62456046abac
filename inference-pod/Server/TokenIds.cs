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
    public static int[] Read(JsonElement array, string name, int vocabulary)
    {
        var ids = new int[array.GetArrayLength()];
        foreach (var (i, item) in array.EnumerateArray().Index())
        {
            ids[i] = item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id) && id >= 0 && id < vocabulary
                ? id
                : throw ApiException.Invalid($"{name}[{i}]", $"'{name}[{i}]' must be a token id from 0 to {vocabulary - 1}.");
        }

        return ids;
    }

    /// <summary>Reads a prompt, unless it is so long that a text would not be counted to its end.</summary>
    /// <param name="array">A JSON array.</param>
    /// <param name="name">Names it in errors.</param>
    /// <param name="model">The model.</param>
    /// <exception cref="ApiException">Something in it is no token of the model, or it is too long.</exception>
    public static int[] Prompt(JsonElement array, string name, ServedModel model)
    {
        var most = PreparedRequest.MostCounted(model);
        return array.GetArrayLength() <= most
            ? Read(array, name, model.Vocabulary)
            : throw ApiException.Invalid(name, $"'{name}' has {array.GetArrayLength()} tokens: at most {most} are read, {PreparedRequest.CountedContexts} times what the context has.", "context_length_exceeded");
    }
}
