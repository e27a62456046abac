using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using SkiaSharp;

namespace Moebius.PromptOptimizer.Tests.Clip;

/// <summary>What <c>data/reference.py</c> wrote with Hugging Face's CLIP, its tokenizers and Pillow, and the same inputs made here.</summary>
internal static class Reference
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "Clip", "data");

    public static JsonObject Values { get; } = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "reference.json")))!.AsObject();

    public static IReadOnlyList<string> Merges { get; } = [.. Values["merges"]!.AsArray().Select(merge => (string)merge!)];

    /// <summary>The export of a whole CLIPModel with random weights.</summary>
    public static byte[] Model()
    {
        using var packed = new GZipStream(File.OpenRead(Path.Combine(Folder, "tiny.onnx.gz")), CompressionMode.Decompress);
        using var memory = new MemoryStream();
        packed.CopyTo(memory);
        return memory.ToArray();
    }

    /// <summary>The tokens in the order of <c>data/reference.py</c>.</summary>
    public static Dictionary<string, int> Vocabulary(IEnumerable<string> merges)
    {
        var next = 0x100;
        string[] letters = [.. Enumerable.Range(0, 256).Select(value => ((char)(value is (>= 0x21 and <= 0x7e) or (>= 0xa1 and <= 0xac) or (>= 0xae and <= 0xff) ? value : next++)).ToString())];
        string[] tokens = [.. letters, .. letters.Select(letter => letter + "</w>"), .. merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal)), "<|startoftext|>", "<|endoftext|>"];
        return tokens.Select((token, number) => (token, number)).ToDictionary(one => one.token, one => one.number, StringComparer.Ordinal);
    }

    /// <summary>A tokenizer.json as Hugging Face's tools write it; in older files a merge is one text.</summary>
    public static string Tokenizer(IReadOnlyList<string> merges, bool older = false) => JsonSerializer.Serialize(new
    {
        version = "1.0",
        added_tokens = new[] { Added("<|startoftext|>"), Added("<|endoftext|>") },
        normalizer = new { type = "Sequence", normalizers = new object[] { new { type = "NFC" }, new { type = "Replace", pattern = new { Regex = @"\s+" }, content = " " }, new { type = "Lowercase" } } },
        model = new
        {
            type = "BPE",
            unk_token = "<|endoftext|>",
            continuing_subword_prefix = "",
            end_of_word_suffix = "</w>",
            fuse_unk = false,
            vocab = Vocabulary(merges),
            merges = merges.Select(merge => older ? (object)merge : merge.Split(' ')),
        },
    });

    /// <summary>A picture by the formula of <c>data/reference.py</c>, as PNG.</summary>
    public static byte[] Picture(int width, int height) => Encode(width, height, (x, y) => new SKColor(Value(x, y, 0), Value(x, y, 1), Value(x, y, 2)), SKEncodedImageFormat.Png);

    public static byte[] Encode(int width, int height, Func<int, int, SKColor> color, SKEncodedImageFormat format)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++)
                bitmap.SetPixel(x, y, color(x, y));
        }

        using var data = bitmap.Encode(format, 100);
        return data.ToArray();
    }

    private static byte Value(int x, int y, int colour) => (byte)((x * 37) + (y * 59) + (colour * 83) + (x * y % 97 * 5));

    private static object Added(string token) => new { id = token == "<|startoftext|>" ? 0 : 1, content = token, special = true };
}
