using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>
/// What the MoE layers of a step write down about their routing, one layer after the other into the same memory: a long prompt's
/// would otherwise be megabytes of garbage a step.
/// </summary>
internal sealed class RoutingBuffers
{
    private int[] _experts = [], _tokens = [], _rowOf = [];
    private float[] _weights = [], _gate = [];
    private GatedWeights[] _gated = [];

    /// <summary>[tokens, top-k] experts, as many as were asked for.</summary>
    public int[] Experts(int slots) => Sized(ref _experts, slots);

    /// <summary>[tokens, top-k] weights of them.</summary>
    public float[] Weights(int slots) => Sized(ref _weights, slots);

    /// <summary>For each row of an expert, its token.</summary>
    public int[] Tokens(int slots) => Sized(ref _tokens, slots);

    /// <summary>For each (token, choice) slot, its row.</summary>
    public int[] RowOf(int slots) => Sized(ref _rowOf, slots);

    /// <summary>[tokens, experts] softmax of the gate.</summary>
    public float[] Gate(int length) => Sized(ref _gate, length);

    /// <summary>Room for so many experts and their rows.</summary>
    public Memory<GatedWeights> Gated(int experts)
    {
        if (_gated.Length < experts)
            _gated = new GatedWeights[experts];
        return _gated.AsMemory(0, experts);
    }

    private static T[] Sized<T>(ref T[] buffer, int length) => buffer.Length == length ? buffer : buffer = new T[length];
}
