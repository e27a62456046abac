using System.Runtime.InteropServices;
using Moebius.Crds;
using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Verify;

/// <summary>
/// What the reference implementation computed for a model, from <c>expected.safetensors</c> in its directory. Each row
/// is a sequence of its own.
/// </summary>
/// <param name="Inputs">Token ids, one row per sequence, equally long.</param>
/// <param name="Logits">For each row, fp32 logits [tokens, vocabulary].</param>
/// <param name="GreedyInputs">Prompts.</param>
/// <param name="GreedyOutputs">Each prompt followed by the tokens that greedy decoding adds.</param>
internal sealed record ExpectedOutputs(int[][] Inputs, float[][] Logits, int[][] GreedyInputs, int[][] GreedyOutputs)
{
    public const string FileName = "expected.safetensors";

    public static ExpectedOutputs Read(string directory)
    {
        var path = Path.Combine(directory, FileName);
        if (!File.Exists(path))
            throw new UserInputException($"{path}: is missing; verify compares with it (input_ids, logits, greedy_input_ids, greedy_output_ids)");
        using var file = SafetensorsFile.Open(path);
        var inputs = Tokens(file, "input_ids");
        var prompts = Tokens(file, "greedy_input_ids");
        var outputs = Tokens(file, "greedy_output_ids");
        if (outputs.Length != prompts.Length || outputs[0].Length < prompts[0].Length)
            throw new UserInputException($"{path}: greedy_output_ids must have greedy_input_ids' {prompts.Length} rows and begin with its {prompts[0].Length} tokens");
        for (var i = 0; i < prompts.Length; i++)
        {
            if (!outputs[i].AsSpan().StartsWith(prompts[i]))
                throw new UserInputException($"{path}: row {i} of greedy_output_ids does not begin with its prompt");
        }
        return new ExpectedOutputs(inputs, LogitRows(file, inputs), prompts, outputs);
    }

    private static TensorEntry Find(SafetensorsFile file, string name, TensorType type, int dimensions)
    {
        var entry = file.Entries.FirstOrDefault(e => e.Name == name)
            ?? throw new UserInputException($"{file.Path}: tensor \"{name}\" is missing");
        if (entry.Type != type || entry.Shape.Length != dimensions || entry.Length is 0 or > int.MaxValue)
            throw new UserInputException($"{file.Path}: tensor \"{name}\" is {entry.Type.Name()} {entry.ShapeText}; it must be {type.Name()} with {dimensions} dimensions, not empty and below 2 GiB");
        return entry;
    }

    private static int[][] Tokens(SafetensorsFile file, string name)
    {
        var entry = Find(file, name, TensorType.I64, 2);
        var bytes = new byte[entry.Length];
        file.Read(entry, 0, bytes);
        var values = MemoryMarshal.Cast<byte, long>(bytes).ToArray();
        foreach (var value in values)
        {
            if (value is < 0 or > int.MaxValue)
                throw new UserInputException($"{file.Path}: tensor \"{name}\" holds {value}; token ids are from 0");
        }
        return [.. values.Select(v => (int)v).Chunk((int)entry.Shape[1])];
    }

    private static float[][] LogitRows(SafetensorsFile file, int[][] inputs)
    {
        var entry = Find(file, "logits", TensorType.F32, 3);
        if (entry.Shape[0] != inputs.Length || entry.Shape[1] != inputs[0].Length)
            throw new UserInputException($"{file.Path}: tensor \"logits\" has shape {entry.ShapeText}; it must begin with the shape of input_ids, [{inputs.Length}, {inputs[0].Length}]");
        var bytes = new byte[entry.Length];
        file.Read(entry, 0, bytes);
        return [.. MemoryMarshal.Cast<byte, float>(bytes).ToArray().Chunk(inputs[0].Length * (int)entry.Shape[2])];
    }
}
