using System.Text;
using Moebius.PromptOptimizer.Models.Clip;

namespace Moebius.PromptOptimizer.Tests.Clip;

/// <summary>
/// Folders with a model. The one that is written here by hand knows colours alone: an image is its mean red, green and
/// blue, and a text the sum of what its words "red", "green" and "blue" stand for.
/// </summary>
internal static class TinyClip
{
    private const int Float = 1, Int32 = 6, Int64 = 7, Float16 = 10;

    public static IReadOnlyList<string> Merges { get; } = ["r e", "re d</w>", "g r", "e e", "gr ee", "gree n</w>", "b l", "u e</w>", "bl ue</w>"];

    /// <summary>An image processor that scales to 4x4 pixels and changes nothing else.</summary>
    public const string Preprocessing = """{"image_processor_type": "CLIPImageProcessor", "do_normalize": false, "size": {"shortest_edge": 4}, "crop_size": {"height": 4, "width": 4}}""";

    /// <summary>A folder with the model that knows colours.</summary>
    public static void Write(string folder, Shape? shape = null)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllBytes(Path.Combine(folder, "model.onnx"), Model(shape ?? new()));
        File.WriteAllText(Path.Combine(folder, "config.json"), """{"model_type": "clip"}""");
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), Reference.Tokenizer(Merges));
        File.WriteAllText(Path.Combine(folder, "preprocessor_config.json"), Preprocessing);
    }

    /// <summary>A folder with the export of Hugging Face's model of random weights.</summary>
    public static void WriteReference(string folder)
    {
        File.WriteAllBytes(Path.Combine(folder, "model.onnx"), Reference.Model());
        File.WriteAllText(Path.Combine(folder, "config.json"), """{"model_type": "clip"}""");
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), Reference.Tokenizer(Reference.Merges));
        File.WriteAllText(Path.Combine(folder, "preprocessor_config.json"), Reference.Values["normal"]!["config"]!.ToJsonString());
    }

    public static ClipTokenizer Tokenizer(IReadOnlyList<string> merges)
    {
        var vocabulary = Reference.Vocabulary(merges);
        return new(vocabulary, merges.Select(merge => (merge.Split(' ')[0], merge.Split(' ')[1])), vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]);
    }

    /// <summary>What a written model has otherwise.</summary>
    /// <param name="Ids">Name of the first input.</param>
    /// <param name="More">A further input.</param>
    /// <param name="Mask">Whether it takes a mask.</param>
    /// <param name="ShortIds">Whether ids have 32 bits.</param>
    /// <param name="Halves">Whether its outputs have 16 bits.</param>
    /// <param name="Length">A fixed length of texts.</param>
    /// <param name="Side">A fixed side of images.</param>
    /// <param name="Tokens">Tokens that it knows; null for all of the tokenizer.</param>
    /// <param name="TextOutput">Name of the text's output.</param>
    /// <param name="Empty">Whether it makes zeros of everything.</param>
    public sealed record Shape(
        string Ids = "input_ids", string? More = null, bool Mask = true, bool ShortIds = false, bool Halves = false, int? Length = null, int? Side = null, int? Tokens = null, string TextOutput = "text_embeds", bool Empty = false);

    private static byte[] Model(Shape shape)
    {
        var vocabulary = Reference.Vocabulary(Merges);
        var table = new float[shape.Tokens ?? vocabulary.Count, 3];
        foreach (var (word, place) in new[] { ("red</w>", 0), ("green</w>", 1), ("blue</w>", 2) })
        {
            if (vocabulary[word] < table.GetLength(0) && !shape.Empty)
                table[vocabulary[word], place] = 1;
        }

        var output = shape.Halves ? Float16 : Float;
        // So little that it shows only where there is nothing else.
        var nothing = shape.Empty ? 0 : 1e-6f;
        byte[][] nodes =
        [
            Node("Gather", ["table", shape.Ids], "words"),
            Node("ReduceMean", ["words"], "text", Ints("axes", 1), Int("keepdims", 0)),
            Node("Add", ["text", "nothing"], shape.Halves ? "text_wide" : shape.TextOutput),
            Node("ReduceMean", ["pixel_values"], "image", Ints("axes", 2, 3), Int("keepdims", 0)),
            Node("Mul", ["image", "factor"], "image_scaled"),
            Node("Add", ["image_scaled", "nothing"], shape.Halves ? "image_wide" : "image_embeds"),
            .. shape.Halves ? new[] { Node("Cast", ["text_wide"], shape.TextOutput, Int("to", Float16)), Node("Cast", ["image_wide"], "image_embeds", Int("to", Float16)) } : [],
        ];
        var ids = shape.ShortIds ? Int32 : Int64;
        byte[][] inputs =
        [
            Value(shape.Ids, ids, null, shape.Length),
            .. shape.Mask ? new[] { Value("attention_mask", Int64, null, shape.Length) } : [],
            Value("pixel_values", Float, null, 3, shape.Side, shape.Side),
            .. shape.More is { } more ? new[] { Value(more, Int64, null, null) } : [],
        ];
        var graph = Message(
        [
            .. nodes.Select(node => Bytes(1, node)),
            Text(2, "tiny"),
            Bytes(5, Tensor("table", [table.GetLength(0), 3], [.. table.Cast<float>()])),
            Bytes(5, Tensor("nothing", [3], [nothing, nothing, nothing])),
            Bytes(5, Tensor("factor", [1], [shape.Empty ? 0 : 1])),
            .. inputs.Select(input => Bytes(11, input)),
            Bytes(12, Value(shape.TextOutput, output, null, 3)),
            Bytes(12, Value("image_embeds", output, null, 3)),
        ]);
        // Field numbers are those of onnx.proto (IR version 8, opset 17).
        return Message(Number(1, 8), Bytes(7, graph), Bytes(8, Message(Text(1, ""), Number(2, 17))));
    }

    private static byte[] Node(string type, string[] inputs, string output, params byte[][] attributes) =>
        Message([.. inputs.Select(input => Text(1, input)), Text(2, output), Text(4, type), .. attributes.Select(attribute => Bytes(5, attribute))]);

    private static byte[] Int(string name, int value) => Message(Text(1, name), Number(3, value), Number(20, 2));

    private static byte[] Ints(string name, params int[] values) => Message([Text(1, name), .. values.Select(value => Number(8, value)), Number(20, 7)]);

    private static byte[] Tensor(string name, int[] dimensions, float[] values) =>
        Message([.. dimensions.Select(dimension => Number(1, dimension)), Number(2, Float), Text(8, name), Bytes(9, [.. values.SelectMany(BitConverter.GetBytes)])]);

    private static byte[] Value(string name, int type, params int?[] dimensions)
    {
        var shape = Message([.. dimensions.Select((size, index) => Bytes(1, size is { } known ? Message(Number(1, known)) : Message(Text(2, $"{name}_{index}"))))]);
        return Message(Text(1, name), Bytes(2, Message(Bytes(1, Message(Number(1, type), Bytes(2, shape))))));
    }

    private static byte[] Message(params byte[][] fields) => [.. fields.SelectMany(field => field)];

    private static byte[] Number(int field, long value) => [.. Varint(field << 3), .. Varint(value)];

    private static byte[] Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    private static byte[] Bytes(int field, byte[] value) => [.. Varint((field << 3) | 2), .. Varint(value.Length), .. value];

    private static IEnumerable<byte> Varint(long value)
    {
        for (; value >= 0x80; value >>= 7)
            yield return (byte)(value | 0x80);
        yield return (byte)value;
    }
}
