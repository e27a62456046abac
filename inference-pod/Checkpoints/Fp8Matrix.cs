using System.Runtime.InteropServices;
using Moebius.Crds;

namespace Moebius.Inference.Checkpoints;

/// <summary>Which values of a matrix in fp8 share a scale; the last blocks of a row or column may be smaller.</summary>
/// <param name="Rows">1 or more.</param>
/// <param name="Columns">1 or more.</param>
internal sealed record Fp8Blocks(int Rows, int Columns)
{
    public static int Count(int values, int block) => (values + block - 1) / block;
}

/// <summary>
/// A matrix in fp8 with a scale for each block (DeepSeek-V3, arXiv 2412.19437, section 3.3): <c>NAME</c> in F8_E4M3, and the
/// factors, whatever the name says, in <c>NAME_scale_inv</c>.
/// </summary>
internal sealed class Fp8Matrix : QuantizedMatrix
{
    private const string Suffix = "_scale_inv";

    private readonly SafetensorsFile _file, _scalesFile;
    private readonly TensorEntry _entry, _scales;
    private readonly Fp8Blocks _blocks;
    private readonly int _first;

    private Fp8Matrix((SafetensorsFile File, TensorEntry Entry) weights, (SafetensorsFile File, TensorEntry Entry) scales, Fp8Blocks blocks, int first)
    {
        (_file, _entry) = weights;
        (_scalesFile, _scales) = scales;
        (_blocks, _first) = (blocks, first);
    }

    public override string Path => _file.Path;

    public override string Name => _entry.Name;

    public override long Bytes => ((long)Rows * Columns) + ((long)ScaleCount * _scales.Type.Bytes());

    public override long ScratchBytes => ((long)Rows * Columns) + ((long)ScaleCount * sizeof(float));

    private int ScaleColumns => Fp8Blocks.Count(Columns, _blocks.Columns);

    private int FirstBlock => _first / _blocks.Rows;

    private int ScaleCount => (((_first + Rows - 1) / _blocks.Rows) - FirstBlock + 1) * ScaleColumns;

    /// <summary>A matrix of a checkpoint; null where it is not in fp8.</summary>
    /// <exception cref="UserInputException">The checkpoint has no such tensor, or its shape or its scales are not right.</exception>
    public static Fp8Matrix? Find(Checkpoint checkpoint, string name, int rows, int columns)
    {
        var weights = checkpoint.Find(name);
        if (weights.Entry.Type != TensorType.F8E4M3 || checkpoint.Fp8 is not { } blocks)
            return null;
        checkpoint.CheckShape(name, rows, columns);
        if (!checkpoint.Contains(name + Suffix))
            throw new UserInputException($"{weights.File.Path}: tensor \"{name}\" has dtype F8_E4M3, and its scales \"{name}{Suffix}\" are missing");
        return new Fp8Matrix(weights, checkpoint.Find(name + Suffix, Fp8Blocks.Count(rows, blocks.Rows), Fp8Blocks.Count(columns, blocks.Columns)), blocks, 0) { Rows = rows, Columns = columns };
    }

    /// <summary>The matrix whose scales a tensor holds; null where it holds none.</summary>
    public static string? ScaledBy(Checkpoint checkpoint, string name) =>
        checkpoint.Fp8 is not null && name.EndsWith(Suffix, StringComparison.Ordinal) && name[..^Suffix.Length] is var weights
        && checkpoint.Contains(weights) && checkpoint.Find(weights).Entry.Type == TensorType.F8E4M3 ? weights : null;

    /// <summary>The same matrix in bands of rows, each of at most so many bytes where one row is not more.</summary>
    public IEnumerable<Fp8Matrix> Bands(int bytes)
    {
        var rows = Math.Clamp(bytes / Columns, 1, Rows);
        for (var first = 0; first < Rows; first += rows)
            yield return new Fp8Matrix((_file, _entry), (_scalesFile, _scales), _blocks, first) { Rows = Math.Min(rows, Rows - first), Columns = Columns };
    }

    public override void Read(Span<byte> scratch)
    {
        _file.Read(_entry, (long)_first * Columns, scratch.Slice(ScaleCount * sizeof(float), Rows * Columns));
        var scales = Scales(scratch);
        var start = (long)FirstBlock * ScaleColumns * _scales.Type.Bytes();
        var halves = _scales.Type == TensorType.F32 ? [] : new byte[scales.Length * sizeof(ushort)];
        var stored = _scales.Type == TensorType.F32 ? MemoryMarshal.AsBytes(scales) : halves;
        _scalesFile.Read(_scales, start, stored);
        FiniteWeights.Check(_scalesFile.Path, _scales.Name, FiniteWeights.CountOthers(stored, _scales.Type), scales.Length);
        HalfTypes.ToSingle(MemoryMarshal.Cast<byte, ushort>(halves), _scales.Type, scales);
    }

    public override void Row(ReadOnlySpan<byte> scratch, int row, Span<ushort> to)
    {
        var codes = scratch.Slice((ScaleCount * sizeof(float)) + (row * Columns), Columns);
        var scales = MemoryMarshal.Cast<byte, float>(scratch).Slice((((_first + row) / _blocks.Rows) - FirstBlock) * ScaleColumns, ScaleColumns);
        for (var i = 0; i < scales.Length; i++)
        {
            int at = i * _blocks.Columns, count = Math.Min(_blocks.Columns, Columns - at);
            Fp8.ToBFloat16(codes.Slice(at, count), scales[i], to.Slice(at, count));
        }
    }

    private Span<float> Scales(Span<byte> scratch) => MemoryMarshal.Cast<byte, float>(scratch[..(ScaleCount * sizeof(float))]);
}
