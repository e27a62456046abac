using System.Text.Json;
using Moebius.Crds;

namespace Moebius.PromptOptimizer.Models.Clip;

/// <summary>Reads the files beside a CLIP model.</summary>
internal static class ClipFiles
{
    private const long MaxBytes = 64 << 20;

    /// <summary>What a reader makes of a JSON file, or a refusal that names the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="expected">What it should be.</param>
    /// <param name="read">Reads its root.</param>
    /// <exception cref="UserInputException">It cannot be read, or is something else.</exception>
    public static T Json<T>(string path, string expected, Func<JsonElement, T> read) => Read(path, expected, text =>
    {
        using var document = JsonDocument.Parse(text);
        return read(document.RootElement);
    });

    /// <summary>The same for any text.</summary>
    public static T Read<T>(string path, string expected, Func<string, T> read)
    {
        try
        {
            return new FileInfo(path).Length <= MaxBytes
                ? read(File.ReadAllText(path))
                : throw new UserInputException($"'{path}' is larger than {Quantities.Format(MaxBytes)}: not {expected}");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException or FormatException)
        {
            throw new UserInputException($"'{path}' is not {expected}: {error.Message}", error);
        }
    }

    /// <summary>What stands in a file, cut to a length that a message can hold.</summary>
    public static string Shown(JsonElement value)
    {
        const int most = 80;
        var text = value.GetRawText();
        return text.Length <= most ? text : text[..most] + "...";
    }
}
