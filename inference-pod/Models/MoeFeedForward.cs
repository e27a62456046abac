using System.Numerics.Tensors;
using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Models;

/// <summary>
/// A mixture of experts over the <see cref="ExpertStore"/>. Experts that are resident run first, then the missing ones
/// in the order in which they arrive. The order changes nothing: each expert writes its rows to a place of its own, and a token's rows are
/// added in the order in which its router ranked them.
/// </summary>
internal sealed unsafe class MoeFeedForward : IFeedForward
{
    private readonly TensorKernels _kernels;
    private readonly MoeSpec _spec;
    private readonly ExpertStore _store;
    private readonly int _moeLayer;
    private readonly LinearWeight _router;
    private readonly WeightVector? _correction;
    private readonly DenseFeedForward? _shared;
    private readonly LinearWeight? _sharedGate;
    private readonly RoutingTap? _tap;
    private readonly RoutingBuffers _buffers;

    /// <param name="kernels">Operations.</param>
    /// <param name="weights">Dense weights.</param>
    /// <param name="layer">Prefix of the layer's names.</param>
    /// <param name="spec">The block.</param>
    /// <param name="hidden">Width.</param>
    /// <param name="store">Holds the experts.</param>
    /// <param name="moeLayer">Index among the MoE layers.</param>
    /// <param name="tap">Watches the routing; null for nobody.</param>
    /// <param name="buffers">Of all MoE layers, which run one at a time.</param>
    public MoeFeedForward(TensorKernels kernels, WeightReader weights, string layer, MoeSpec spec, int hidden, ExpertStore store, int moeLayer, RoutingTap? tap, RoutingBuffers buffers)
    {
        (_kernels, _spec, _store, _moeLayer, _tap, _buffers) = (kernels, spec, store, moeLayer, tap, buffers);
        _router = weights.Linear(layer + spec.RouterName, spec.Router.Experts, hidden, spec.RouterBias);
        _correction = spec.CorrectionName is null ? null : weights.Vector(layer + spec.CorrectionName, spec.Router.Experts);
        _shared = spec.Shared is null ? null : new DenseFeedForward(kernels, weights, layer, spec.Shared, hidden);
        _sharedGate = spec.SharedGateName is null ? null : weights.Linear(layer + spec.SharedGateName, 1, hidden);
        tap?.Add(_router);
    }

    public void Forward(Rows x, Rows y)
    {
        int k = _spec.Router.TopK, slots = checked(x.Count * k);
        var experts = _buffers.Experts(slots);
        var weights = _buffers.Weights(slots);
        var gate = Route(x, experts, weights);
        var plan = ExpertPlan.Group(experts, _spec.Router.Experts, k, _buffers.Tokens(slots), _buffers.RowOf(slots));
        _kernels.Profile?.Mark(StepPart.Routing);
        var resident = _tap is null ? _store.UseResident(_moeLayer, plan.Groups.Length) : default;
        var tiles = !resident.IsEmpty || _store.CanHold(plan.Groups.Length) ? ExpertTiles.For(_kernels, _spec.Activation, slots, _spec.Intermediate, x, y, inPlace: _shared is null) : null;
        var outputs = tiles is null ? _kernels.Take(slots, x.Width) : default;
        fixed (int* index = plan.Tokens)
        {
            if (!resident.IsEmpty)
            {
                RunResident(plan, resident, x, index, outputs, tiles);
                Combine(y, outputs, tiles, plan.RowOf, weights);
            }
            else
            {
                // Loads begin here; the policy plans while they are on their way.
                using var use = _store.Use(_moeLayer, plan.Groups, keep: tiles is not null);
                _tap?.Routed(_moeLayer, x, gate, experts, plan.Groups);
                RunArriving(plan.Groups, use, x, index, outputs, tiles);
                Combine(y, outputs, tiles, plan.RowOf, weights);
                _tap?.Ran(_moeLayer, use.Missing);
            }
        }
        if (_shared is not null)
            AddShared(x, y);
    }

    /// <summary>Chooses experts. Returns the softmax of the gate where somebody wants it.</summary>
    private float[] Route(Rows x, int[] experts, float[] weights)
    {
        var k = _spec.Router.TopK;
        var scores = _kernels.Linear(x, _router);
        _kernels.Profile?.Mark(StepPart.RouterProduct);
        float[] gate = [];
        if (_tap is not null && _tap.WantsGate(_moeLayer))
            RoutingTap.Probabilities(scores, gate = _buffers.Gate(scores.Count * scores.Width));
        _kernels.ForRows(x.Count, (long)scores.Width * k, (from, to) =>
        {
            var correction = _correction is { } added ? added.Span : default;
            Router.Route(_spec.Router, scores.Slice(from, to - from), correction, experts.AsSpan(from * k), weights.AsSpan(from * k));
        });
        return gate;
    }

    /// <summary>Runs the experts, all of which are in memory.</summary>
    private void RunResident(ExpertPlan plan, ReadOnlySpan<GatedMatrices> resident, Rows x, int* index, Rows outputs, ExpertTiles? tiles)
    {
        var groups = plan.Groups;
        var experts = _buffers.Gated(groups.Length);
        var each = experts.Span;
        for (var i = 0; i < each.Length; i++)
            each[i] = new GatedWeights(resident[groups[i].Expert], groups[i].First, groups[i].Count);
        _kernels.Profile?.Mark(StepPart.Acquire);
        Run(experts, x, index, outputs, tiles);
    }

    /// <summary>Runs the experts in the order in which they are there: the resident ones, then each as it arrives.</summary>
    private void RunArriving(IReadOnlyList<ExpertGroup> groups, ExpertUse use, Rows x, int* index, Rows outputs, ExpertTiles? tiles)
    {
        for (var ready = use.Next(); ready.Count > 0; ready = use.Next())
        {
            _kernels.Profile?.Mark(StepPart.Acquire);
            var experts = _buffers.Gated(ready.Count);
            var each = experts.Span;
            for (var i = 0; i < each.Length; i++)
            {
                var group = groups[ready[i].Group];
                each[i] = new GatedWeights(ready[i].Matrices, group.First, group.Count);
            }
            Run(experts, x, index, outputs, tiles);
        }
    }

    private void Run(ReadOnlyMemory<GatedWeights> experts, Rows x, int* index, Rows outputs, ExpertTiles? tiles)
    {
        if (tiles is null)
            GatedExperts.Run(_kernels, _spec.Activation, experts, x, index, _spec.Intermediate, outputs);
        else
            tiles.Activate(experts, index);
        _kernels.Profile?.Mark(StepPart.Experts);
    }

    private void Combine(Rows y, Rows outputs, ExpertTiles? tiles, int[] rowOf, float[] weights)
    {
        if (tiles is not null)
        {
            tiles.Combine(rowOf, weights, _spec.Router.TopK);
            return;
        }
        ExpertTiles.Sum(_kernels, y, 0, outputs, rowOf, weights, _spec.Router.TopK);
        _kernels.Profile?.Mark(StepPart.Combine);
    }

    private void AddShared(Rows x, Rows y)
    {
        var shared = _kernels.Take(x.Count, x.Width);
        _shared!.Forward(x, shared);
        var gate = _sharedGate is null ? default : _kernels.Linear(x, _sharedGate);
        for (var t = 0; t < x.Count; t++)
        {
            if (_sharedGate is not null)
                TensorPrimitives.Multiply(shared.Span(t), 1 / (1 + MathF.Exp(-*gate[t])), shared.Span(t));
            TensorPrimitives.Add(y.Span(t), shared.Span(t), y.Span(t));
        }
        _kernels.Profile?.Mark(StepPart.DenseFeedForward);
    }
}
