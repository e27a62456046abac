using System.Text.Json;
using Moebius.Crds;

namespace Moebius.KvCache.Detection.Classifier.Onnx;

/// <summary>Reads <c>tokenizer.json</c> (WordPiece and Unigram) or, where there is none, BERT's <c>vocab.txt</c>.</summary>
internal static class SubwordFiles
{
    private const long MaxBytes = 64 << 20;

    /// <exception cref="UserInputException">Neither file is there, or not of a kind that is read here.</exception>
    public static ISubwords Read(string folder)
    {
        var json = Path.Combine(folder, "tokenizer.json");
        var lines = Path.Combine(folder, "vocab.txt");
        try
        {
            if (File.Exists(json))
                return FromJson(json);
            if (File.Exists(lines))
                return new WordPieces(Limited(lines).Split('\n').Select(line => line.TrimEnd('\r')).TakeWhile((line, index) => line.Length > 0 || index == 0).ToArray(), lowerCase: LowerCase(folder));
        }
        catch (Exception error) when (error is JsonException or ArgumentException or InvalidOperationException or KeyNotFoundException or IOException or UnauthorizedAccessException or FormatException)
        {
            throw new UserInputException($"'{(File.Exists(json) ? json : lines)}' is not a tokenizer that can be read: {error.Message}", error);
        }

        throw new UserInputException($"'{folder}' has neither tokenizer.json nor vocab.txt: export the model with its tokenizer");
    }

    private static ISubwords FromJson(string path)
    {
        using var document = JsonDocument.Parse(Limited(path));
        var root = document.RootElement;
        var model = root.GetProperty("model");
        var type = model.TryGetProperty("type", out var named) ? named.GetString() : model.TryGetProperty("unk_id", out _) ? "Unigram" : "WordPiece";
        if (type == "WordPiece")
        {
            var byNumber = model.GetProperty("vocab").EnumerateObject().ToDictionary(entry => entry.Value.GetInt32(), entry => entry.Name);
            var vocabulary = Enumerable.Range(0, byNumber.Keys.Max() + 1).Select(id => byNumber.GetValueOrDefault(id, $"[unused-{id}]")).ToArray();
            var lower = root.TryGetProperty("normalizer", out var normalizer) && normalizer.ValueKind == JsonValueKind.Object
                && normalizer.TryGetProperty("lowercase", out var lowercase) && lowercase.ValueKind == JsonValueKind.True;
            return new WordPieces(vocabulary, lower);
        }

        if (type != "Unigram")
            throw new UserInputException($"'{path}': model.type: '{type}' is not read here: use a model with a WordPiece or Unigram tokenizer");
        var pieces = model.GetProperty("vocab").EnumerateArray().Select(entry => (entry[0].GetString()!, entry[1].GetDouble())).ToArray();
        var special = root.TryGetProperty("added_tokens", out var added)
            ? added.EnumerateArray().DistinctBy(token => token.GetProperty("content").GetString()).ToDictionary(token => token.GetProperty("content").GetString()!, token => token.GetProperty("id").GetInt32(), StringComparer.Ordinal)
            : [];
        return new UnigramPieces(
            pieces,
            model.TryGetProperty("unk_id", out var unknown) && unknown.ValueKind == JsonValueKind.Number ? unknown.GetInt32() : 0,
            Number("[CLS]", "<s>"),
            Number("[SEP]", "</s>"),
            Number("[PAD]", "<pad>"));

        int Number(params string[] names)
        {
            foreach (var name in names)
            {
                if (special.TryGetValue(name, out var id))
                    return id;
                if (Array.FindIndex(pieces, piece => piece.Item1 == name) is var index and >= 0)
                    return index;
            }

            throw new UserInputException($"'{path}': no token {string.Join(" or ", names)}: export the whole tokenizer");
        }
    }

    private static bool LowerCase(string folder)
    {
        var path = Path.Combine(folder, "tokenizer_config.json");
        if (!File.Exists(path))
            return false;
        using var document = JsonDocument.Parse(Limited(path));
        return document.RootElement.TryGetProperty("do_lower_case", out var lower) && lower.ValueKind == JsonValueKind.True;
    }

    private static string Limited(string path) => new FileInfo(path).Length <= MaxBytes
        ? File.ReadAllText(path)
        : throw new UserInputException($"'{path}' is larger than {Quantities.Format(MaxBytes)}: not a tokenizer");
}
