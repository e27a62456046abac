using System.Runtime.Intrinsics;
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

internal static unsafe class Activations
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

    /// <summary>
    /// act(gate) * up, into gate. Always whole vectors, so that an element's result does not depend on where in a row
    /// it is or how the row was divided.
    /// </summary>
    /// <param name="activation">Which.</param>
    /// <param name="gate">Elements; memory up to the next multiple of 16 is overwritten too.</param>
    /// <param name="up">Elements; memory up to the next multiple of 16 is read too.</param>
    /// <param name="count">Number of elements.</param>
    public static void Gate(Activation activation, float* gate, float* up, int count)
    {
        for (int i = 0; i < count; i += 16)
        {
            var g = Vector512.Load(gate + i);
            var u = Vector512.Load(up + i);
            switch (activation)
            {
                case Activation.Silu:
                    g = g * Sigmoid(g) * u;
                    break;
                case Activation.QuickGelu:
                    g = g * Sigmoid(g * SwigluAlpha) * u;
                    break;
                case Activation.Relu:
                    g = Vector512.Max(g, Vector512<float>.Zero) * u;
                    break;
                case Activation.ClampedSwiglu:
                    g = Vector512.Min(g, Vector512.Create(SwigluLimit));
                    u = Vector512.Min(Vector512.Max(u, Vector512.Create(-SwigluLimit)), Vector512.Create(SwigluLimit));
                    g = g * Sigmoid(g * SwigluAlpha) * (u + Vector512<float>.One);
                    break;
                case Activation.Gelu or Activation.GeluTanh:
                    for (int lane = 0; lane < Math.Min(16, count - i); lane++)
                        gate[i + lane] = (activation == Activation.Gelu ? Gelu(gate[i + lane]) : GeluTanh(gate[i + lane])) * up[i + lane];
                    continue;
                default:
                    throw new ArgumentOutOfRangeException(nameof(activation), activation, null);
            }
            g.Store(gate + i);
        }
    }

    private static Vector512<float> Sigmoid(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Vector512.Exp(-x));

    private static float Gelu(float x) => (float)(0.5 * x * (1 + ErrorFunction.Erf(x / Math.Sqrt(2))));

    private static float GeluTanh(float x) => (float)(0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * Math.Pow(x, 3)))));
}
