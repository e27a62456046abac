using System.Runtime.InteropServices;
using Moebius.Crds;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>Reads dense weights into memory and remembers which names were asked for.</summary>
/// <param name="checkpoint">Where they are.</param>
/// <param name="memory">Where they go; it owns them.</param>
/// <param name="keepBFloat16">Matrices in bf16 stay so, and those in fp8 become it; everything else becomes fp32.</param>
internal sealed unsafe class WeightReader(Checkpoint checkpoint, WeightMemory memory, bool keepBFloat16)
{
    private const int ReadBytes = 4 << 20;

    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    public Checkpoint Checkpoint => checkpoint;

    public WeightMemory Memory => memory;

    public void MarkUsed(IEnumerable<string> names) => _used.UnionWith(names);

    /// <summary><c>{name}.weight</c> [outputs, inputs] and, if asked, <c>{name}.bias</c>.</summary>
    public LinearWeight Linear(string name, int outputs, int inputs, bool bias = false)
    {
        var data = Read($"{name}.weight", keepBFloat16, memory, out var format, outputs, inputs);
        return new LinearWeight(data, format, outputs, inputs, bias ? Vector($"{name}.bias", outputs) : null);
    }

    /// <summary>A vector in fp32.</summary>
    public WeightVector Vector(string name, int length) => new((nint)Read(name, keep: false, memory, out _, length), length);

    /// <summary>A matrix [rows, columns] in fp32 that is rearranged at load, in memory that the caller frees.</summary>
    public float* Matrix(string name, int rows, int columns, WeightMemory temporary) => (float*)Read(name, keep: false, temporary, out _, rows, columns);

    /// <summary>
    /// Embeddings that are tied to the head may be stored twice. Where the two differ, the checkpoint is not what
    /// config.json says: the model would run with the wrong head.
    /// </summary>
    /// <param name="name">The tensor that may be there too.</param>
    /// <param name="of">Name of the other.</param>
    /// <param name="original">The other, as it was read.</param>
    public void CheckCopy(string name, string of, LinearWeight original)
    {
        if (!checkpoint.Contains(name))
            return;
        var (file, entry) = checkpoint.Find(name, original.Outputs, original.Inputs);
        var rowBytes = (int)(entry.Length / original.Outputs);
        var raw = new byte[Math.Max(1, ReadBytes / rowBytes) * rowBytes];
        var expected = new float[original.Inputs];
        for (long at = 0; at < entry.Length; at += raw.Length)
        {
            var part = raw.AsSpan(0, (int)Math.Min(raw.Length, entry.Length - at));
            file.Read(entry, at, part);
            for (var row = 0; row < part.Length / rowBytes; row++)
            {
                original.CopyRow((int)(at / rowBytes) + row, expected);
                if (!HasValues(part.Slice(row * rowBytes, rowBytes), entry.Type, expected))
                    throw new UserInputException($"{file.Path}: tensor \"{name}\" differs from {of}, with which tie_word_embeddings in config.json says it is one; set it to false where each has its own");
            }
        }
    }

    private static bool HasValues(ReadOnlySpan<byte> raw, TensorType type, ReadOnlySpan<float> expected)
    {
        if (type == TensorType.F32)
            return MemoryMarshal.Cast<byte, float>(raw).SequenceEqual(expected);
        var halves = MemoryMarshal.Cast<byte, ushort>(raw);
        for (var i = 0; i < halves.Length; i++)
        {
            if (HalfTypes.ToSingle(halves[i], type) != expected[i])
                return false;
        }
        return true;
    }

    /// <summary>
    /// A weight that nothing reads means that the configuration does not describe this checkpoint: refused, because
    /// the model would run and answer nonsense.
    /// </summary>
    public void CheckAllUsed(DecoderSpec spec)
    {
        foreach (var name in checkpoint.Names.Order(StringComparer.Ordinal))
        {
            if (!_used.Contains(Fp8Matrix.ScaledBy(checkpoint, name) ?? name) && !IsLeftOut(name, spec))
                throw new UserInputException($"{checkpoint.Find(name).File.Path}: tensor \"{name}\" has no place in {spec.Architecture} as config.json describes it; a switch in config.json is missing or the file belongs to another model");
        }
    }

    /// <summary>
    /// A tensor that published checkpoints hold and inference does without: stored frequencies, a copy of tied embeddings,
    /// and layers after the last that predict several tokens at once.
    /// </summary>
    public static bool IsLeftOut(string name, DecoderSpec spec) =>
        name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal)
        || (spec.TiedEmbeddings && name == "lm_head.weight")
        || (LayerOf(name) is int layer && layer >= spec.Layers && layer - spec.Layers < spec.PredictionLayers);

    private static int? LayerOf(string name)
    {
        const string Prefix = "model.layers.";
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
            return null;
        var end = name.IndexOf('.', Prefix.Length);
        return end > 0 && int.TryParse(name.AsSpan(Prefix.Length, end - Prefix.Length), out var layer) ? layer : null;
    }

    private byte* Read(string name, bool keep, WeightMemory into, out WeightFormat format, params ReadOnlySpan<long> shape)
    {
        _used.Add(name);
        if (shape.Length == 2 && Fp8Matrix.Find(checkpoint, name, (int)shape[0], (int)shape[1]) is { } matrix)
            return Dequantize(matrix, keep, into, out format);
        var (file, entry) = checkpoint.Find(name, shape);
        var stored = entry.Type == TensorType.F32 || (keep && entry.Type == TensorType.BF16);
        format = stored && entry.Type == TensorType.BF16 ? WeightFormat.BFloat16 : WeightFormat.Float32;
        var destination = into.Take(entry.Elements * (format == WeightFormat.BFloat16 ? sizeof(ushort) : sizeof(float)));
        long others = 0;
        var buffer = stored ? [] : new byte[(int)Math.Min(ReadBytes, entry.Length)];
        for (long at = 0; at < entry.Length;)
        {
            var bytes = (int)Math.Min(ReadBytes, entry.Length - at);
            if (stored)
            {
                var raw = new Span<byte>(destination + at, bytes);
                file.Read(entry, at, raw);
                others += FiniteWeights.CountOthers(raw, entry.Type);
            }
            else
            {
                file.Read(entry, at, buffer.AsSpan(0, bytes));
                others += FiniteWeights.CountOthers(buffer.AsSpan(0, bytes), entry.Type);
                var halves = MemoryMarshal.Cast<byte, ushort>(buffer.AsSpan(0, bytes));
                HalfTypes.ToSingle(halves, entry.Type, new Span<float>((float*)destination + at / 2, halves.Length));
            }
            at += bytes;
        }
        FiniteWeights.Check(file.Path, name, others, entry.Elements);
        return destination;
    }

    private static byte* Dequantize(Fp8Matrix matrix, bool keep, WeightMemory into, out WeightFormat format)
    {
        format = keep ? WeightFormat.BFloat16 : WeightFormat.Float32;
        var columns = matrix.Columns;
        long rowBytes = format.RowBytes(columns), others = 0;
        byte* destination = into.Take(matrix.Rows * rowBytes), to = destination;
        byte[] scratch = [];
        var row = new ushort[columns];
        foreach (var band in matrix.Bands(ReadBytes))
        {
            if (scratch.Length < band.ScratchBytes)
                scratch = new byte[band.ScratchBytes];
            band.Read(scratch);
            for (var r = 0; r < band.Rows; r++, to += rowBytes)
            {
                var values = keep ? new Span<ushort>(to, columns) : row;
                band.Row(scratch, r, values);
                others += FiniteWeights.CountOthers(MemoryMarshal.AsBytes(values), TensorType.BF16);
                if (!keep)
                    HalfTypes.ToSingle(values, TensorType.BF16, new Span<float>(to, columns));
            }
        }
        FiniteWeights.Check(matrix.Path, matrix.Name, others, (long)matrix.Rows * columns);
        return destination;
    }
}
