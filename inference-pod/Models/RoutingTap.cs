using System.Numerics.Tensors;
using Moebius.Inference.Kernels;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Models;

/// <summary>
/// Shows a policy what the routers choose and what later gates say already. It knows the gates of all MoE layers; each
/// layer adds its own when it is built.
/// </summary>
internal sealed unsafe class RoutingTap(IPrefetchPolicy policy, TensorKernels kernels)
{
    private readonly List<LinearWeight> _gates = [];

    public IPrefetchPolicy Policy => policy;

    /// <summary>Adds the gate of the next MoE layer; the layer keeps owning it.</summary>
    public void Add(LinearWeight gate) => _gates.Add(gate);

    /// <summary>Tells the policy a layer's routing, with as many pre-gates as it asks for.</summary>
    /// <param name="layer">Index among the MoE layers.</param>
    /// <param name="x">The router's input, [tokens, hidden].</param>
    /// <param name="gate">[tokens, experts] softmax of the layer's own gate.</param>
    /// <param name="chosen">[tokens, top-k].</param>
    public IReadOnlyList<PrefetchRequest> Routed(int layer, Rows x, float[] gate, int[] chosen)
    {
        int horizon = policy.Horizon(layer);
        var ahead = new PreGate[horizon];
        for (int distance = 1; distance <= horizon; distance++)
        {
            int target = (layer + distance) % _gates.Count;
            ahead[distance - 1] = new PreGate(target, Probabilities(kernels.Linear(x, _gates[target])));
        }
        return policy.Plan(new LayerRouting(layer, x.Count, chosen, gate, ahead));
    }

    /// <summary>Softmax of each row of logits.</summary>
    public static float[] Probabilities(Rows logits)
    {
        float[] result = new float[logits.Count * logits.Width];
        for (int row = 0; row < logits.Count; row++)
            TensorPrimitives.SoftMax(logits.Span(row), result.AsSpan(row * logits.Width, logits.Width));
        return result;
    }
}
