using System.Runtime.InteropServices;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Experts;

/// <summary>A read of a matrix that is stored in fewer bits, dequantised to bf16 and then brought into the resident format.</summary>
/// <param name="Matrix">The matrix.</param>
/// <param name="Format">Of the rows in the buffer.</param>
/// <param name="Destinations">Where rows go in the buffer: the first to the first of these, the second to the second, and so on in turn.</param>
internal sealed record QuantizedRead(QuantizedMatrix Matrix, WeightFormat Format, IReadOnlyList<long> Destinations) : ExpertRead
{
    public override long Bytes => Matrix.Bytes;

    public override long ScratchBytes => Matrix.ScratchBytes;

    public override void Execute(Span<byte> buffer, Span<byte> scratch)
    {
        Matrix.Read(scratch);
        var bytes = (int)Format.RowBytes(Matrix.Columns);
        var row = new ushort[Matrix.Columns];
        var wide = Format == WeightFormat.BFloat16 ? [] : new float[Matrix.Columns];
        long others = 0;
        for (var r = 0; r < Matrix.Rows; r++)
        {
            var at = Destinations[r % Destinations.Count] + ((long)(r / Destinations.Count) * bytes);
            var destination = buffer.Slice((int)at, bytes);
            var values = Format == WeightFormat.BFloat16 ? MemoryMarshal.Cast<byte, ushort>(destination) : row;
            Matrix.Row(scratch, r, values);
            var bad = FiniteWeights.CountOthers(MemoryMarshal.AsBytes(values), TensorType.BF16);
            others += bad;
            // What is refused in the end is not quantised anew: that is for finite numbers.
            if (Format == WeightFormat.BFloat16 || bad > 0)
                continue;
            HalfTypes.ToSingle(values, TensorType.BF16, wide);
            if (Format == WeightFormat.Float32)
                MemoryMarshal.AsBytes<float>(wide).CopyTo(destination);
            else
                Quantizer.Row(Format, wide, destination);
        }
        FiniteWeights.Check(Matrix.Path, Matrix.Name, others, (long)Matrix.Rows * Matrix.Columns);
    }
}
