using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Prediction;

/// <summary>
/// One logistic model per expert over shared inputs, trained one example at a time with AdaGrad: each weight's step
/// shrinks with what it has moved already, so frequent inputs settle and rare ones still learn.
/// </summary>
/// <param name="inputs">Inputs beside the constant.</param>
/// <param name="outputs">Experts.</param>
internal sealed class LinearGate(int inputs, int outputs)
{
    private const float Rate = 0.05f;

    private readonly float[] _weights = new float[inputs * outputs], _bias = new float[outputs];
    private readonly float[] _squares = Filled(inputs * outputs), _biasSquares = Filled(outputs);

    public int Inputs => inputs;

    /// <summary>An output's weights, one for each input.</summary>
    public Span<float> Weights(int output) => _weights.AsSpan(output * inputs, inputs);

    /// <summary>Each output's constant.</summary>
    public Span<float> Bias => _bias;

    /// <summary>Logits of one example.</summary>
    public unsafe void Run(ReadOnlySpan<float> x, Span<float> logits)
    {
        fixed (float* from = x, weights = _weights, bias = _bias, to = logits)
            MatrixProduct.Run(from, 0, WeightRows.Packed((byte*)weights, WeightFormat.Float32, inputs, bias), to, 0, 1, 0, outputs, inputs);
    }

    /// <summary>One step down the gradient.</summary>
    /// <param name="x">The inputs.</param>
    /// <param name="error">Predicted probability minus truth, one per output.</param>
    public void Learn(ReadOnlySpan<float> x, ReadOnlySpan<float> error)
    {
        for (int o = 0; o < outputs; o++)
        {
            float e = error[o];
            if (Math.Abs(e) < Negligible)
                continue;
            Step(x, e, Weights(o), _squares.AsSpan(o * inputs, inputs));
            _biasSquares[o] += e * e;
            _bias[o] -= Rate * e / MathF.Sqrt(_biasSquares[o]);
        }
    }

    /// <summary>For each output its constant and its weights, then the sums of squares in the same order.</summary>
    public void Save(BinaryWriter writer)
    {
        foreach (var (constants, rows) in new[] { (_bias, _weights), (_biasSquares, _squares) })
        {
            for (int o = 0; o < outputs; o++)
            {
                writer.Write(constants[o]);
                writer.Write(MemoryMarshal.AsBytes(rows.AsSpan(o * inputs, inputs)));
            }
        }
    }

    public void Load(BinaryReader reader)
    {
        foreach (var (constants, rows) in new[] { (_bias, _weights), (_biasSquares, _squares) })
        {
            for (int o = 0; o < outputs; o++)
            {
                ReadFinite(reader, constants.AsSpan(o, 1));
                ReadFinite(reader, rows.AsSpan(o * inputs, inputs));
            }
        }
    }

    /// <summary>An error that is not worth a step.</summary>
    internal const float Negligible = 0.003f;

    /// <summary>Begins above 0, so that the first step is no larger than the rate.</summary>
    internal static float[] Filled(int count)
    {
        float[] squares = new float[count];
        Array.Fill(squares, 1e-3f);
        return squares;
    }

    /// <exception cref="InvalidDataException">A value is not finite.</exception>
    internal static void ReadFinite(BinaryReader reader, Span<float> values)
    {
        reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values));
        if (!TensorPrimitives.IsFiniteAll<float>(values))
            throw new InvalidDataException("a weight is not finite");
    }

    /// <summary>w -= rate * g / sqrt(sum of g^2) with g = error * x.</summary>
    private static void Step(ReadOnlySpan<float> x, float error, Span<float> weights, Span<float> squares)
    {
        ref float input = ref MemoryMarshal.GetReference(x), weight = ref MemoryMarshal.GetReference(weights), square = ref MemoryMarshal.GetReference(squares);
        var scale = Vector512.Create(error);
        var step = Vector512.Create(-Rate);
        int i = 0;
        for (; i + Vector512<float>.Count <= x.Length; i += Vector512<float>.Count)
        {
            var gradient = Vector512.LoadUnsafe(ref input, (nuint)i) * scale;
            var sum = Vector512.FusedMultiplyAdd(gradient, gradient, Vector512.LoadUnsafe(ref square, (nuint)i));
            sum.StoreUnsafe(ref square, (nuint)i);
            Vector512.FusedMultiplyAdd(step * gradient, ReciprocalRoot(sum), Vector512.LoadUnsafe(ref weight, (nuint)i)).StoreUnsafe(ref weight, (nuint)i);
        }
        for (; i < x.Length; i++)
        {
            float gradient = x[i] * error;
            squares[i] += gradient * gradient;
            weights[i] -= Rate * gradient / MathF.Sqrt(squares[i]);
        }
    }

    /// <summary>1 / sqrt(x), to 14 bits at least: a step need not be exact.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> ReciprocalRoot(Vector512<float> x) =>
        Avx512F.IsSupported ? Avx512F.ReciprocalSqrt14(x) : Vector512<float>.One / Vector512.Sqrt(x);
}
