using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Prediction;

/// <summary>
/// One logistic model per expert over shared inputs, trained one example at a time with AdaGrad: each weight's step
/// shrinks with what it has moved already, so frequent inputs settle and rare ones still learn. A weight's gradient is its output's
/// error times its input, and so its sum of squares is taken as its output's times the mean square of its input: one number for each
/// output and each input in place of one for each weight.
/// </summary>
/// <param name="inputs">Inputs beside the constant.</param>
/// <param name="outputs">Experts.</param>
internal sealed class LinearGate(int inputs, int outputs)
{
    private const float Rate = 0.05f;

    private readonly float[] _weights = new float[inputs * outputs], _bias = new float[outputs];

    /// <summary>Sums of squared errors by output, and of squared inputs by input.</summary>
    private readonly float[] _errors = Filled(outputs), _squares = Filled(inputs), _scaled = new float[inputs];
    private float _examples;

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
        // x / root of its mean square, which is the same for all outputs.
        _examples++;
        TensorPrimitives.MultiplyAdd(x, x, _squares, _squares);
        TensorPrimitives.Divide(_squares, _examples, _scaled);
        TensorPrimitives.Sqrt(_scaled, _scaled);
        TensorPrimitives.Divide(x, _scaled, _scaled);
        for (var o = 0; o < outputs; o++)
        {
            var e = error[o];
            if (Math.Abs(e) < Negligible)
                continue;
            _errors[o] += e * e;
            var step = -Rate * e / MathF.Sqrt(_errors[o]);
            TensorPrimitives.MultiplyAdd(_scaled, step, Weights(o), Weights(o));
            _bias[o] += step;
        }
    }

    /// <summary>Weights, constants, and the sums.</summary>
    public void Save(BinaryWriter writer)
    {
        foreach (var values in new[] { _weights, _bias, _errors, _squares })
            writer.Write(MemoryMarshal.AsBytes<float>(values));
        writer.Write(_examples);
    }

    public void Load(BinaryReader reader)
    {
        foreach (var values in new[] { _weights, _bias })
            ReadWithin(reader, -MostWeight, MostWeight, values);
        // Divided by: the sums begin above 0, and only grow.
        foreach (var values in new[] { _errors, _squares })
            ReadWithin(reader, FirstSquare, MostSquare, values);
        ReadWithin(reader, 0, MostExamples, MemoryMarshal.CreateSpan(ref _examples, 1));
    }

    /// <summary>More than lessons lead to. With numbers in these bounds no logit, and no step that is learned, is without end.</summary>
    internal const float MostWeight = 1e6f, MostSquare = 1e12f;

    /// <summary>Where a count of examples stands still: one more is the same number.</summary>
    private const float MostExamples = 1 << 24;

    /// <summary>An error that is not worth a step.</summary>
    internal const float Negligible = 0.003f;

    /// <summary>Sums of squares begin above 0, so that the first step is no larger than the rate.</summary>
    internal const float FirstSquare = 1e-3f;

    private static float[] Filled(int count)
    {
        var squares = new float[count];
        Array.Fill(squares, FirstSquare);
        return squares;
    }

    /// <exception cref="InvalidDataException">A value is out of bounds, or not a number.</exception>
    internal static void ReadWithin(BinaryReader reader, float least, float most, Span<float> values)
    {
        reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values));
        foreach (var value in values)
        {
            if (!(value >= least && value <= most))
                throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"a weight or a sum is {value}; it must be from {least} to {most}"));
        }
    }
}
