using System.Diagnostics;
using System.Numerics.Tensors;
using Moebius.Inference.Experts;
using Moebius.Inference.Kernels;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Models;

/// <summary>
/// Shows a policy what the routers choose and what later gates say already, gives its plans to the store, and tells it
/// what they cost. It knows the gates of all MoE layers; each layer adds its own when it is built.
/// </summary>
internal sealed class RoutingTap(IPrefetchPolicy policy, TensorKernels kernels, ExpertStore store)
{
    private readonly List<LinearWeight> _gates = [];
    private readonly List<float[]> _ahead = [];

    /// <summary>What was asked for last.</summary>
    private readonly List<PrefetchRequest> _absent = [];

    /// <summary>For each layer's experts, the number of the last plan that they were in.</summary>
    private long[] _plannedIn = [];
    private long _plans;
    private ExpertStatistics _before;
    private long _layerBegan;
    private long _uses, _foreseen, _horizons, _layers;
    private int _used;
    private double _planSeconds;
    private bool _stands;

    /// <summary>Adds the gate of the next MoE layer; the layer keeps owning it.</summary>
    public void Add(LinearWeight gate) => _gates.Add(gate);

    /// <summary>Whether a layer's own gate is wanted in <see cref="Routed"/>.</summary>
    public bool WantsGate(int layer) => policy.WantsGate(layer);

    /// <summary>A step begins.</summary>
    public void Begin(ReadOnlySpan<int> tokens)
    {
        _before = store.Statistics;
        _layerBegan = Stopwatch.GetTimestamp();
        (_horizons, _layers) = (0, 0);
        Take(policy.Begin(tokens));
        _planSeconds = Stopwatch.GetElapsedTime(_layerBegan).TotalSeconds;
    }

    /// <summary>Tells the policy a layer's routing, with as many pre-gates as it asks for, and takes its plan.</summary>
    /// <param name="layer">Index among the MoE layers.</param>
    /// <param name="x">The router's input, [tokens, hidden].</param>
    /// <param name="gate">[tokens, experts] softmax of the layer's own gate; empty where the policy does not want it.</param>
    /// <param name="chosen">[tokens, top-k].</param>
    /// <param name="groups">The experts of <paramref name="chosen"/>, each once.</param>
    public void Routed(int layer, Rows x, float[] gate, int[] chosen, IReadOnlyList<ExpertGroup> groups)
    {
        var begun = Stopwatch.GetTimestamp();
        var horizon = policy.Horizon(layer);
        // Uses count as predictable only while somebody predicts.
        if (horizon > 0 || _stands)
        {
            foreach (var group in groups)
                _foreseen += _stands && _plannedIn[At(layer, group.Expert)] == _plans ? 1 : 0;
            _uses += groups.Count;
        }
        _used = groups.Count;
        _horizons += horizon;
        _layers++;
        Take(policy.Plan(new LayerRouting(layer, x.Count, chosen, gate, Ahead(layer, x, horizon))));
        _planSeconds += Stopwatch.GetElapsedTime(begun).TotalSeconds;
    }

    /// <summary>A layer's experts have run.</summary>
    /// <param name="layer">Index among the MoE layers.</param>
    /// <param name="missing">Experts that were wanted and not resident.</param>
    public void Ran(int layer, int missing)
    {
        var now = store.Statistics;
        var stall = now.StallSeconds - _before.StallSeconds;
        var elapsed = Stopwatch.GetElapsedTime(_layerBegan).TotalSeconds;
        policy.Observe(new PrefetchFeedback(layer, stall, missing, (int)(now.OverFetched - _before.OverFetched), Math.Max(0, elapsed - stall), now.SecondsPerExpert,
            (int)(now.Prefetched - _before.Prefetched + (now.Misses - _before.Misses) - (now.Late - _before.Late)))
        {
            Used = _used,
            Ahead = (int)(now.Prefetched - _before.Prefetched),
            Late = (int)(now.Late - _before.Late),
            Queued = (int)(now.Queued - _before.Queued),
            EvictedEarly = (int)(now.EvictedEarly - _before.EvictedEarly),
            PlanSeconds = _planSeconds,
        });
        (_before, _planSeconds) = (now, 0);
        _layerBegan = Stopwatch.GetTimestamp();
    }

    /// <summary>Adds what is known here to the store's counters.</summary>
    public ExpertStatistics Complete(ExpertStatistics statistics) =>
        statistics with { Uses = _uses, Foreseen = _foreseen, Horizon = _layers == 0 ? 0 : (double)_horizons / _layers, LooksAhead = policy.LooksAhead };

    /// <summary>Softmax of each row of logits.</summary>
    /// <param name="logits">[tokens, experts].</param>
    /// <param name="result">As many values.</param>
    public static void Probabilities(Rows logits, float[] result)
    {
        for (var row = 0; row < logits.Count; row++)
            TensorPrimitives.SoftMax(logits.Span(row), result.AsSpan(row * logits.Width, logits.Width));
    }

    /// <summary>What those gates of the next layers that the policy wants say of a layer's router input, all computed at once.</summary>
    private PreGate[] Ahead(int layer, Rows x, int horizon)
    {
        if (horizon == 0)
            return [];
        var ahead = new PreGate[horizon];
        var products = new List<Product>(horizon);
        for (var i = 0; i < horizon; i++)
        {
            var target = (layer + 1 + i) % _gates.Count;
            var wanted = policy.Wants(layer, i + 1);
            ahead[i] = new PreGate(target, wanted ? Buffer(i, x.Count * _gates[target].Outputs) : []);
            if (wanted)
                products.Add(new Product(_gates[target], kernels.Take(x.Count, _gates[target].Outputs)));
        }
        kernels.Products(x, [.. products]);
        var at = 0;
        foreach (var (_, probabilities) in ahead)
        {
            if (probabilities.Length > 0)
                Probabilities(products[at++].Y, probabilities);
        }
        return ahead;
    }

    private float[] Buffer(int index, int length)
    {
        while (_ahead.Count <= index)
            _ahead.Add([]);
        return _ahead[index].Length == length ? _ahead[index] : _ahead[index] = new float[length];
    }

    private void Take(IReadOnlyList<PrefetchRequest>? plan)
    {
        // An empty plan after an empty one changes nothing.
        if (plan is null || (plan.Count == 0 && !_stands))
            return;
        _stands = plan.Count > 0;
        if (_plannedIn.Length == 0)
            _plannedIn = new long[_gates.Count * _gates[0].Outputs];
        _plans++;
        foreach (var request in plan)
            _plannedIn[At(request.Key.Layer, request.Key.Expert)] = _plans;
        if (policy.Residency is null)
            store.Plan(plan);
        else
            TakeAbsent(plan, policy.Residency);
    }

    /// <summary>Where estimates decide what is evicted, nothing is to be done for what is there; mostly that is all of a plan.</summary>
    private void TakeAbsent(IReadOnlyList<PrefetchRequest> plan, Residency residency)
    {
        var waits = _absent.Count > 0;
        _absent.Clear();
        foreach (var request in plan)
        {
            if (!residency[request.Key])
                _absent.Add(request);
        }
        if (waits || _absent.Count > 0)
            store.Plan(_absent);
    }

    private int At(int layer, int expert) => (layer * _gates[0].Outputs) + expert;
}
