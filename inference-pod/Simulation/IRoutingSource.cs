using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Simulation;

/// <summary>The routing that a simulation replays, step by step.</summary>
internal interface IRoutingSource
{
    RoutingShape Shape { get; }

    int Steps { get; }

    /// <summary>Token ids of a step.</summary>
    int[] Tokens(int step);

    /// <summary>[tokens, top-k] experts that a layer of a step uses.</summary>
    int[] Chosen(int step, int layer);

    /// <summary>What a policy sees in a layer, with pre-gates up to a horizon.</summary>
    LayerRouting Routing(int step, int layer, int horizon);
}
