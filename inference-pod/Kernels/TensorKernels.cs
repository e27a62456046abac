using System.Numerics.Tensors;
using Moebius.Inference.Checkpoints;
using TorchSharp;
using Tensor = TorchSharp.torch.Tensor;

namespace Moebius.Inference.Kernels;

/// <summary>
/// The operations of a decoder that treat each row (token) by itself, so that a row's result does not depend on the
/// other rows. Inputs are contiguous fp32 CPU tensors [rows, width].
/// </summary>
internal sealed unsafe class TensorKernels(Workers workers)
{
    public Workers Workers => workers;

    /// <summary>x W^T + b.</summary>
    public Tensor Linear(Tensor x, LinearWeight weight)
    {
        int rows = (int)x.shape[0];
        var y = TensorMemory.Empty(rows, weight.Outputs);
        Linear(x.Floats(), weight.Inputs, weight, y.Floats(), weight.Outputs, rows);
        return y;
    }

    /// <summary>The same on raw rows with strides.</summary>
    public void Linear(float* x, nint xStride, LinearWeight weight, float* y, nint yStride, int rows) =>
        Product(x, xStride, weight.Data, weight.Type, weight.Bias, y, yStride, rows, weight.Outputs, weight.Inputs);

    /// <summary>Splits the columns of y over the threads.</summary>
    public void Product(float* x, nint xStride, byte* w, TensorType type, float* bias, float* y, nint yStride, int rows, int columns, int k)
    {
        long work = (long)rows * columns * k;
        workers.RunRanges(columns, 4, work, (from, to) =>
        {
            if (type == TensorType.F32)
                MatrixProduct.Run<Float32Weights>(x, xStride, w, bias, y, yStride, rows, from, to, k);
            else
                MatrixProduct.Run<BFloat16Weights>(x, xStride, w, bias, y, yStride, rows, from, to, k);
        });
    }

    /// <summary>Root-mean-square norm over groups of weight.numel() values: whole rows, or heads of a row.</summary>
    public Tensor RmsNorm(Tensor x, Tensor weight, float epsilon)
    {
        var y = torch.empty_like(x);
        RmsNorm(x.Floats(), y.Floats(), (int)x.numel(), weight, epsilon);
        return y;
    }

    public void RmsNorm(float* x, float* y, int count, Tensor weight, float epsilon)
    {
        int width = (int)weight.numel();
        var gain = new ReadOnlySpan<float>(weight.Floats(), width);
        for (int at = 0; at < count; at += width)
        {
            var row = new ReadOnlySpan<float>(x + at, width);
            var result = new Span<float>(y + at, width);
            float scale = 1f / MathF.Sqrt(TensorPrimitives.SumOfSquares(row) / width + epsilon);
            TensorPrimitives.Multiply(row, scale, result);
            TensorPrimitives.Multiply(result, gain, result);
        }
    }

    public Tensor LayerNorm(Tensor x, Tensor weight, Tensor bias, float epsilon)
    {
        int width = (int)weight.numel();
        var y = torch.empty_like(x);
        float* from = x.Floats();
        float* to = y.Floats();
        var gain = new ReadOnlySpan<float>(weight.Floats(), width);
        var shift = new ReadOnlySpan<float>(bias.Floats(), width);
        for (long at = 0; at < x.numel(); at += width)
        {
            var result = new Span<float>(to + at, width);
            TensorPrimitives.Subtract(new ReadOnlySpan<float>(from + at, width), TensorPrimitives.Sum(new ReadOnlySpan<float>(from + at, width)) / width, result);
            float scale = 1f / MathF.Sqrt(TensorPrimitives.SumOfSquares(result) / width + epsilon);
            TensorPrimitives.Multiply(result, scale, result);
            TensorPrimitives.MultiplyAdd(result, gain, shift, result);
        }
        return y;
    }

    /// <summary>act(gate) * up, into gate.</summary>
    public static void Gate(Activation activation, float* gate, float* up, int rows, int width)
    {
        for (int i = 0; i < rows; i++)
            Activations.Gate(activation, new Span<float>(gate + (nint)i * width, width), new ReadOnlySpan<float>(up + (nint)i * width, width));
    }

    /// <summary>
    /// Rotates pairs of a part of each head in place. <paramref name="cos"/> and <paramref name="sin"/> hold
    /// one value per row and pair.
    /// </summary>
    /// <param name="x">Rows of heads.</param>
    /// <param name="stride">Elements from one row to the next.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="heads">Heads in a row.</param>
    /// <param name="headDim">Elements of a head.</param>
    /// <param name="start">First rotated element of a head.</param>
    /// <param name="cos">[rows, pairs].</param>
    /// <param name="sin">[rows, pairs].</param>
    /// <param name="pairs">Rotated pairs of a head.</param>
    /// <param name="interleaved">Pairs are neighbours (2i, 2i+1); otherwise halves (i, i+pairs).</param>
    public static void Rotate(float* x, nint stride, int rows, int heads, int headDim, int start, float[] cos, float[] sin, int pairs, bool interleaved)
    {
        int step = interleaved ? 2 : 1, other = interleaved ? 1 : pairs;
        for (int r = 0; r < rows; r++)
        {
            for (int h = 0; h < heads; h++)
            {
                float* head = x + r * stride + (nint)h * headDim + start;
                for (int i = 0; i < pairs; i++)
                {
                    float c = cos[r * pairs + i], s = sin[r * pairs + i];
                    float a = head[i * step], b = head[i * step + other];
                    head[i * step] = a * c - b * s;
                    head[i * step + other] = b * c + a * s;
                }
            }
        }
    }
}
