using Moebius.Inference.Checkpoints;
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
        Type = data.dtype == ScalarType.BFloat16 ? TensorType.BF16 : TensorType.F32;
        Data = data.Address();
        Bias = bias is null ? null : bias.Floats();
    }

    public int Outputs { get; }

    public int Inputs { get; }

    public TensorType Type { get; }

    public byte* Data { get; }

    public float* Bias { get; }

    public Tensor Tensor => _data;

    /// <summary>Copies one row to fp32: an embedding.</summary>
    public void CopyRow(int row, Span<float> destination)
    {
        if (Type == TensorType.F32)
        {
            new ReadOnlySpan<float>((float*)Data + (nint)row * Inputs, Inputs).CopyTo(destination);
            return;
        }
        byte* source = Data + (nint)row * Inputs * 2;
        for (int i = 0; i < Inputs; i++)
            destination[i] = BFloat16Weights.Scalar(source, i);
    }

    public void Dispose()
    {
        _data.Dispose();
        _bias?.Dispose();
    }
}
