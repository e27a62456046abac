using System.Runtime.Intrinsics;

namespace Moebius.Inference.Kernels;

/// <summary>A dense matrix [outputs, inputs] in fp32 or bf16, with an optional fp32 bias. It owns no memory.</summary>
internal sealed unsafe class LinearWeight
{
    /// <param name="data">Rows without gaps.</param>
    /// <param name="format">fp32 or bf16.</param>
    /// <param name="outputs">Rows.</param>
    /// <param name="inputs">Columns.</param>
    /// <param name="bias">One for each output; null for none.</param>
    public LinearWeight(byte* data, WeightFormat format, int outputs, int inputs, WeightVector? bias = null)
    {
        (Outputs, Inputs) = (outputs, inputs);
        Rows = WeightRows.Packed(data, format, inputs, bias is { } vector ? vector.Data : null);
    }

    public int Outputs { get; }

    public int Inputs { get; }

    public WeightFormat Format => Rows.Format;

    public WeightRows Rows { get; }

    /// <summary>The same matrix with a bias.</summary>
    public LinearWeight With(WeightVector bias) => new((byte*)Rows.Data, Format, Outputs, Inputs, bias);

    /// <summary>Copies one row to fp32: an embedding.</summary>
    public void CopyRow(int row, Span<float> destination)
    {
        var source = (byte*)Rows.Data + row * Rows.RowBytes;
        if (Format == WeightFormat.Float32)
        {
            new ReadOnlySpan<float>((float*)source, Inputs).CopyTo(destination);
            return;
        }
        var i = 0;
        for (; i + 16 <= Inputs; i += 16)
            BFloat16Weights.Low(source + (i * sizeof(ushort))).CopyTo(destination[i..]);
        for (; i < Inputs; i++)
            destination[i] = BFloat16Weights.ToSingle(((ushort*)source)[i]);
    }
}
