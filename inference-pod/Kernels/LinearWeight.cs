using static TorchSharp.torch;

namespace Moebius.Inference.Kernels;

/// <summary>A dense matrix [outputs, inputs] in fp32 or bf16, with an optional fp32 bias.</summary>
internal sealed unsafe class LinearWeight : IDisposable
{
    private readonly Tensor _data;
    private readonly Tensor? _bias;

    public LinearWeight(Tensor data, Tensor? bias)
    {
        _data = data;
        _bias = bias;
        Outputs = (int)data.shape[0];
        Inputs = (int)data.shape[1];
        var format = data.dtype == ScalarType.BFloat16 ? WeightFormat.BFloat16 : WeightFormat.Float32;
        Rows = WeightRows.Packed(data.Address(), format, Inputs, bias is null ? null : bias.Floats());
    }

    public int Outputs { get; }

    public int Inputs { get; }

    public WeightFormat Format => Rows.Format;

    public WeightRows Rows { get; }

    public Tensor Tensor => _data;

    /// <summary>Copies one row to fp32: an embedding.</summary>
    public void CopyRow(int row, Span<float> destination)
    {
        byte* source = (byte*)Rows.Data + row * Rows.RowBytes;
        if (Format == WeightFormat.Float32)
        {
            new ReadOnlySpan<float>((float*)source, Inputs).CopyTo(destination);
            return;
        }
        for (int i = 0; i < Inputs; i++)
            destination[i] = BFloat16Weights.ToSingle(((ushort*)source)[i]);
    }

    public void Dispose()
    {
        _data.Dispose();
        _bias?.Dispose();
    }
}
