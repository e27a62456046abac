using System.Text.Json;
using Moebius.Crds;

namespace Moebius.PromptOptimizer.Models.Clip;

/// <summary>Reads CLIP's tokenizer from <c>tokenizer.json</c> or, where there is none, from <c>vocab.json</c> and <c>merges.txt</c>.</summary>
internal static class ClipTokenizerFiles
{
    private const string StartToken = "<|startoftext|>";
    private const string EndToken = "<|endoftext|>";
    private const string Expected = "a tokenizer of CLIP";

    /// <exception cref="UserInputException">Neither is there, or it is another model's.</exception>
    public static ClipTokenizer Read(string folder)
    {
        var json = Path.Combine(folder, "tokenizer.json");
        var (vocabulary, merges) = (Path.Combine(folder, "vocab.json"), Path.Combine(folder, "merges.txt"));
        if (File.Exists(json))
            return ClipFiles.Json(json, Expected, root => FromJson(root, json));
        if (!File.Exists(vocabulary) || !File.Exists(merges))
            throw new UserInputException($"'{folder}' has neither tokenizer.json nor vocab.json with merges.txt: export the model with its tokenizer");
        var tokens = ClipFiles.Json(vocabulary, Expected, Numbers);
        return ClipFiles.Read(merges, Expected, text => Make(tokens, Lines(text).Select(Pair), merges));
    }

    private static ClipTokenizer FromJson(JsonElement root, string path)
    {
        var model = root.GetProperty("model");
        // Older files do not name the type.
        if (model.TryGetProperty("type", out var type) && !type.ValueEquals("BPE"))
            throw new UserInputException($"'{path}': model.type: {ClipFiles.Shown(type)} is not read here: CLIP's tokenizer is \"BPE\"");
        if (!model.TryGetProperty("end_of_word_suffix", out var suffix) || suffix.ValueKind != JsonValueKind.String || !suffix.ValueEquals(ClipTokenizer.WordEnd))
            throw new UserInputException($"'{path}': model.end_of_word_suffix: is not \"{ClipTokenizer.WordEnd}\", as CLIP's tokenizer has it: this is another model's");
        var tokens = Numbers(model.GetProperty("vocab"));
        if (root.TryGetProperty("added_tokens", out var added))
        {
            foreach (var token in added.EnumerateArray())
                tokens.TryAdd(token.GetProperty("content").GetString()!, token.GetProperty("id").GetInt32());
        }

        // Newer files have pairs, older ones both parts in one text.
        return Make(tokens, model.GetProperty("merges").EnumerateArray().Select(merge => merge.ValueKind == JsonValueKind.Array ? (merge[0].GetString()!, merge[1].GetString()!) : Pair(merge.GetString()!)), path);
    }

    private static ClipTokenizer Make(Dictionary<string, int> tokens, IEnumerable<(string Left, string Right)> merges, string path)
    {
        return new(tokens, merges, Special(StartToken), Special(EndToken));

        int Special(string token) => tokens.TryGetValue(token, out var id) ? id : throw new UserInputException($"'{path}': no token {token}: this is not CLIP's tokenizer");
    }

    private static Dictionary<string, int> Numbers(JsonElement vocabulary) => vocabulary.EnumerateObject().ToDictionary(
        entry => entry.Name,
        entry => entry.Value.GetInt32() is >= 0 and var id ? id : throw new FormatException("the number of a token is below 0"),
        StringComparer.Ordinal);

    private static IEnumerable<string> Lines(string text) =>
        text.Split('\n').Select(line => line.Trim()).Where((line, number) => line.Length > 0 && !(number == 0 && line.StartsWith("#version", StringComparison.Ordinal)));

    private static (string Left, string Right) Pair(string text) => text.Split(' ') is [{ Length: > 0 } left, { Length: > 0 } right]
        ? (left, right)
        : throw new FormatException("a merge is not of two parts");
}
