using System.Numerics.Tensors;

namespace Moebius.Inference.Kernels;

/// <summary>One of several matrices that are multiplied with the same rows.</summary>
/// <param name="Weight">The matrix.</param>
/// <param name="Y">Where its products go.</param>
internal readonly record struct Product(LinearWeight Weight, Rows Y);

/// <summary>
/// The operations of a decoder that treat each row (token) by itself, so that a row's result does not depend on the
/// other rows. Results are in the step's <see cref="Scratch"/>.
/// </summary>
internal sealed unsafe class TensorKernels(Workers workers) : IDisposable
{
    /// <summary>What an element of a norm or a rotation costs, in multiply-adds of a product.</summary>
    private const int ElementWork = 4;

    /// <summary>What stays in a third-level cache.</summary>
    public const int DefaultTileBytes = 2 << 20;

    public Workers Workers => workers;

    /// <summary>Memory for what experts write, beyond which their last products are made a tile of columns at a time.</summary>
    public int ExpertTileBytes { get; init; } = DefaultTileBytes;

    /// <summary>Memory of the step.</summary>
    public Scratch Scratch { get; } = new();

    /// <summary>Times the parts of a step; null: nobody asked.</summary>
    public StepProfile? Profile { get; set; }

    /// <summary>Uninitialised rows, valid until the scratch is released.</summary>
    public Rows Take(int count, int width) => new(Scratch.Floats((long)count * width), count, width);

    /// <summary>x W^T + b.</summary>
    public Rows Linear(Rows x, LinearWeight weight)
    {
        var y = Take(x.Count, weight.Outputs);
        Products(x, new Product(weight, y));
        return y;
    }

    /// <summary>Several matrices times the same rows, at once: a thread that ends one goes on with the next.</summary>
    public void Products(Rows x, params Product[] products)
    {
        var columns = 0;
        foreach (var product in products)
            columns += product.Weight.Outputs;
        workers.RunRanges(columns, MatrixProduct.Grain, (long)x.Count * columns * x.Width, (from, to) =>
        {
            var first = 0;
            foreach (var (weight, y) in products)
            {
                int begin = Math.Max(from - first, 0), end = Math.Min(to - first, weight.Outputs);
                if (begin < end)
                    MatrixProduct.Run(x.Data, x.Width, weight.Rows, y.Data, y.Width, x.Count, begin, end, x.Width);
                first += weight.Outputs;
            }
        });
    }

    /// <summary>Splits rows over the threads.</summary>
    /// <param name="count">Rows.</param>
    /// <param name="width">Elements of each that are touched.</param>
    /// <param name="body">Rows [from, to).</param>
    public void ForRows(int count, long width, Action<int, int> body) => workers.RunRanges(count, 1, count * width * ElementWork, body);

    /// <summary>Root-mean-square norm over groups of as many values as the weight has: whole rows, or heads of a row.</summary>
    public Rows RmsNorm(Rows x, WeightVector weight, float epsilon)
    {
        var y = Take(x.Count, x.Width);
        RmsNorm(x, y, weight, epsilon);
        return y;
    }

    /// <summary>The same into <paramref name="y"/>, which may be <paramref name="x"/>.</summary>
    public void RmsNorm(Rows x, Rows y, WeightVector weight, float epsilon)
    {
        var width = weight.Length;
        var gain = weight.Data;
        ForRows(x.Count, x.Width, (from, to) => RmsNorm(x[from], y[from], (long)(to - from) * x.Width, gain, width, epsilon));
    }

    /// <summary>The same on this thread, on <paramref name="count"/> elements without gaps.</summary>
    public static void RmsNorm(float* x, float* y, long count, float* gain, int width, float epsilon)
    {
        var gains = new ReadOnlySpan<float>(gain, width);
        for (long at = 0; at < count; at += width)
        {
            var row = new ReadOnlySpan<float>(x + at, width);
            var result = new Span<float>(y + at, width);
            var scale = 1f / MathF.Sqrt(LaneSum.Squares(x + at, width) / width + epsilon);
            TensorPrimitives.Multiply(row, scale, result);
            TensorPrimitives.Multiply(result, gains, result);
        }
    }

    public Rows LayerNorm(Rows x, WeightVector weight, WeightVector bias, float epsilon)
    {
        var y = Take(x.Count, x.Width);
        float* gain = weight.Data, shift = bias.Data;
        ForRows(x.Count, x.Width, (from, to) =>
        {
            var gains = new ReadOnlySpan<float>(gain, x.Width);
            var shifts = new ReadOnlySpan<float>(shift, x.Width);
            for (var row = from; row < to; row++)
            {
                var result = y.Span(row);
                TensorPrimitives.Subtract(x.Span(row), LaneSum.Of(x[row], x.Width) / x.Width, result);
                var scale = 1f / MathF.Sqrt(LaneSum.Squares(y[row], x.Width) / x.Width + epsilon);
                TensorPrimitives.Multiply(result, scale, result);
                TensorPrimitives.MultiplyAdd(result, gains, shifts, result);
            }
        });
        return y;
    }

    public void Dispose()
    {
        Scratch.Dispose();
        workers.Dispose();
    }
}
