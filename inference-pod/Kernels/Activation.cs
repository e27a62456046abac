using System.Numerics.Tensors;
using Moebius.Crds;

namespace Moebius.Inference.Kernels;

/// <summary>The gate of a gated feed-forward: writes act(gate) * up into gate.</summary>
internal enum Activation
{
    Silu,
    Gelu,
    GeluTanh,
    QuickGelu,
    Relu,

    /// <summary>gpt_oss: gate and up clamped to 7, gate * sigmoid(1.702 gate) * (up + 1).</summary>
    ClampedSwiglu,
}

internal static class Activations
{
    private const float SwigluAlpha = 1.702f;
    private const float SwigluLimit = 7f;

    public static Activation Parse(string file, string name) => name switch
    {
        "silu" or "swish" => Activation.Silu,
        "gelu" => Activation.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" => Activation.GeluTanh,
        "quick_gelu" => Activation.QuickGelu,
        "relu" => Activation.Relu,
        _ => throw new UserInputException($"{file}: hidden_act \"{name}\" is not supported; supported are silu, swish, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu and relu"),
    };

    /// <summary>One row: both spans have the same length, which alone decides how it is vectorised.</summary>
    public static void Gate(Activation activation, Span<float> gate, ReadOnlySpan<float> up)
    {
        switch (activation)
        {
            case Activation.Silu:
                SigmoidTimes(gate, 1);
                break;
            case Activation.QuickGelu:
                SigmoidTimes(gate, SwigluAlpha);
                break;
            case Activation.Relu:
                TensorPrimitives.Max(gate, 0f, gate);
                break;
            case Activation.Gelu:
                for (int i = 0; i < gate.Length; i++)
                    gate[i] = (float)(0.5 * gate[i] * (1 + ErrorFunction.Erf(gate[i] / Math.Sqrt(2))));
                break;
            case Activation.GeluTanh:
                for (int i = 0; i < gate.Length; i++)
                    gate[i] = (float)(0.5 * gate[i] * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (gate[i] + 0.044715 * Math.Pow(gate[i], 3)))));
                break;
            case Activation.ClampedSwiglu:
                TensorPrimitives.Min(gate, SwigluLimit, gate);
                SigmoidTimes(gate, SwigluAlpha);
                for (int i = 0; i < gate.Length; i++)
                    gate[i] *= Math.Clamp(up[i], -SwigluLimit, SwigluLimit) + 1;
                return;
            default:
                throw new ArgumentOutOfRangeException(nameof(activation), activation, null);
        }
        TensorPrimitives.Multiply(gate, up, gate);
    }

    /// <summary>x becomes x * sigmoid(scale * x).</summary>
    private static void SigmoidTimes(Span<float> x, float scale)
    {
        const int Chunk = 512;
        Span<float> sigmoid = stackalloc float[Chunk];
        for (int i = 0; i < x.Length; i += Chunk)
        {
            var part = x.Slice(i, Math.Min(Chunk, x.Length - i));
            var s = sigmoid[..part.Length];
            TensorPrimitives.Multiply(part, scale, s);
            TensorPrimitives.Sigmoid(s, s);
            TensorPrimitives.Multiply(part, s, part);
        }
    }
}
