using System.Runtime.CompilerServices;
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
    ClippedGelu,
    HardSwish,
    Laplace,
    LeakyRelu,
    Linear,
    Mish,
    SquaredRelu,
    Relu6,
    Sigmoid,
    SqrtSoftplus,
    Tanh,

    /// <summary>gpt_oss: gate and up clamped to 7, gate * sigmoid(1.702 gate) * (up + 1).</summary>
    ClampedSwiglu,
}

internal static unsafe class Activations
{
    private const float SwigluAlpha = 1.702f;
    private const float SwigluLimit = 7f;

    private static readonly SortedDictionary<string, Activation> Names = new(StringComparer.Ordinal)
    {
        ["silu"] = Activation.Silu,
        ["swish"] = Activation.Silu,
        ["gelu"] = Activation.Gelu,
        ["gelu_python"] = Activation.Gelu,
        ["gelu_new"] = Activation.GeluTanh,
        ["gelu_fast"] = Activation.GeluTanh,
        ["gelu_accurate"] = Activation.GeluTanh,
        ["gelu_python_tanh"] = Activation.GeluTanh,
        ["gelu_pytorch_tanh"] = Activation.GeluTanh,
        ["gelu_10"] = Activation.ClippedGelu,
        ["quick_gelu"] = Activation.QuickGelu,
        ["relu"] = Activation.Relu,
        ["relu2"] = Activation.SquaredRelu,
        ["relu6"] = Activation.Relu6,
        ["leaky_relu"] = Activation.LeakyRelu,
        ["hardswish"] = Activation.HardSwish,
        ["laplace"] = Activation.Laplace,
        ["linear"] = Activation.Linear,
        ["mish"] = Activation.Mish,
        ["sigmoid"] = Activation.Sigmoid,
        ["sqrtsoftplus"] = Activation.SqrtSoftplus,
        ["tanh"] = Activation.Tanh,
    };

    public static Activation Parse(string file, string name) => Names.TryGetValue(name, out var activation)
        ? activation
        : throw new UserInputException($"{file}: hidden_act \"{name}\" is not supported; supported are {string.Join(", ", Names.Keys)}");

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
        for (var i = 0; i < count; i += 16)
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
                default:
                    for (var lane = 0; lane < Math.Min(16, count - i); lane++)
                        gate[i + lane] = (float)One(activation, gate[i + lane]) * up[i + lane];
                    continue;
            }
            g.Store(gate + i);
        }
    }

    /// <summary>1 / (1 + exp(-x)), from an exponential that is at most 1: of the magnitude.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Sigmoid(Vector512<float> x)
    {
        var power = Exponential.Of(-Vector512.Abs(x));
        var above = Vector512<float>.One / (Vector512<float>.One + power);
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<float>.Zero), power * above, above);
    }

    /// <summary>One element of those that are too rare for vectors.</summary>
    private static double One(Activation activation, double x) => activation switch
    {
        Activation.Gelu => Gelu(x),
        Activation.GeluTanh => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
        Activation.ClippedGelu => Math.Clamp(Gelu(x), -10, 10),
        Activation.HardSwish => x * Math.Clamp(x + 3, 0, 6) / 6,
        Activation.Laplace => 0.5 * (1 + ErrorFunction.Erf((x - 0.707107) / (0.282095 * Math.Sqrt(2)))), // Mega, arXiv 2209.10655.
        Activation.LeakyRelu => x < 0 ? 0.01 * x : x,
        Activation.Linear => x,
        Activation.Mish => x * Math.Tanh(Softplus(x)),
        Activation.SquaredRelu => x < 0 ? 0 : x * x,
        Activation.Relu6 => Math.Clamp(x, 0, 6),
        Activation.Sigmoid => 1 / (1 + Math.Exp(-x)),
        Activation.SqrtSoftplus => Math.Sqrt(Softplus(x)),
        Activation.Tanh => Math.Tanh(x),
        _ => throw new ArgumentOutOfRangeException(nameof(activation), activation, null),
    };

    private static double Gelu(double x) => 0.5 * x * (1 + ErrorFunction.Erf(x / Math.Sqrt(2)));

    private static double Softplus(double x) => Math.Max(x, 0) + Math.Log(1 + Math.Exp(-Math.Abs(x)));
}
