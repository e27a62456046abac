using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Moebius.Inference.Prediction;

/// <summary>
/// One logistic model per expert over shared inputs, [outputs, inputs] weights, trained one example at a time with
/// AdaGrad: each weight's step shrinks with what it has moved already, so frequent inputs settle and rare ones still learn.
/// </summary>
internal sealed class LinearGate(int inputs, int outputs)
{
    private const float Rate = 0.05f;

    private readonly float[] _weights = new float[inputs * outputs];
    private readonly float[] _squares = Filled(inputs * outputs);

    public int Inputs => inputs;

    public Span<float> Weights(int output) => _weights.AsSpan(output * inputs, inputs);

    /// <summary>Adds the logits of one example to <paramref name="logits"/>.</summary>
    public void AddTo(ReadOnlySpan<float> x, Span<float> logits)
    {
        for (int o = 0; o < outputs; o++)
            logits[o] += TensorPrimitives.Dot<float>(Weights(o), x);
    }

    /// <summary>One step down the gradient.</summary>
    /// <param name="x">The inputs.</param>
    /// <param name="error">Predicted probability minus truth, one per output.</param>
    public void Learn(ReadOnlySpan<float> x, ReadOnlySpan<float> error)
    {
        for (int o = 0; o < outputs; o++)
        {
            if (Math.Abs(error[o]) >= Negligible)
                Step(x, error[o], Weights(o), _squares.AsSpan(o * inputs, inputs), Rate);
        }
    }

    public void Save(BinaryWriter writer)
    {
        writer.Write(MemoryMarshal.AsBytes<float>(_weights));
        writer.Write(MemoryMarshal.AsBytes<float>(_squares));
    }

    public void Load(BinaryReader reader)
    {
        ReadFinite(reader, _weights);
        ReadFinite(reader, _squares);
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
    internal static void Step(ReadOnlySpan<float> x, float error, Span<float> weights, Span<float> squares, float rate)
    {
        int i = 0, lanes = Vector<float>.Count;
        var scale = new Vector<float>(error);
        var step = new Vector<float>(rate);
        for (; i + lanes <= x.Length; i += lanes)
        {
            var gradient = new Vector<float>(x[i..]) * scale;
            var square = new Vector<float>(squares[i..]) + gradient * gradient;
            square.CopyTo(squares[i..]);
            (new Vector<float>(weights[i..]) - step * gradient / Vector.SquareRoot(square)).CopyTo(weights[i..]);
        }
        for (; i < x.Length; i++)
        {
            float gradient = x[i] * error;
            squares[i] += gradient * gradient;
            weights[i] -= rate * gradient / MathF.Sqrt(squares[i]);
        }
    }
}
