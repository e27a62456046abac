using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Moebius.Inference.Experts;
using Moebius.Inference.Prediction;

namespace Moebius.Inference.Prefetch;

/// <summary>
/// Loads what the predictor expects. Before the first layer the token ids speak for as many layers as a horizon may have,
/// which costs little; then each layer speaks for those up to the horizon, which controllers adapt. A layer is predicted when it comes
/// inside the horizon and once more from the layer before it: what lies between brings little and costs as much. With a
/// horizon of 0 what the token ids say is all.
/// </summary>
internal sealed class ExpertFlowPolicy : IPrefetchPolicy
{
    private readonly RoutingPredictor _predictor;
    private readonly HorizonController[] _controllers;
    private readonly int _fixed, _fromTokens;
    private HorizonController? _controller;
    private readonly float? _fixedThreshold;
    private readonly LoadThreshold _threshold = new();
    private readonly ReuseEstimate _reuse;
    private readonly float[] _use;
    private readonly List<PrefetchRequest> _plan = [];

    /// <summary>For each layer's experts, the number of the last plan that they were in, and of the last layer run that used them.</summary>
    private readonly long[] _plannedIn, _usedIn;
    private long _plans, _runs;
    private int _used;

    /// <summary>Steps of 1, 2 to 3, 4 to 7 tokens and so on have a horizon each: a prompt needs and costs other than a token.</summary>
    private const int SizeClasses = 12;

    /// <param name="predictor">Predicts; it goes on learning.</param>
    /// <param name="limits">Bounds of the horizon.</param>
    /// <param name="horizon">A fixed horizon instead of an adapted one, 0 or more, or <see cref="HorizonController.Off"/>; null adapts.</param>
    /// <param name="threshold">Probability from which an expert is loaded ahead, above 0, at most 1; null follows the link's load.</param>
    public ExpertFlowPolicy(RoutingPredictor predictor, HorizonLimits limits, int? horizon = null, float? threshold = null)
    {
        _predictor = predictor;
        // A layer predicts no farther than itself in the next step.
        limits = limits with { MaxHorizon = Math.Min(limits.MaxHorizon, predictor.Shape.Layers) };
        _controllers = horizon is null ? [.. Enumerable.Range(0, SizeClasses).Select(_ => new HorizonController(limits))] : [];
        _controller = _controllers.Length > 0 ? _controllers[0] : null;
        _fixed = Math.Min(horizon ?? 0, predictor.Shape.Layers);
        _fromTokens = limits.MaxHorizon;
        _fixedThreshold = threshold;
        _plannedIn = new long[predictor.Shape.Layers * predictor.Shape.Experts];
        _usedIn = new long[_plannedIn.Length];
        _use = new float[predictor.Shape.Experts];
        _reuse = new ReuseEstimate(predictor.Shape.Layers, predictor.Shape.Experts, predictor.Shape.TopK);
        Residency = new Residency(predictor.Shape.Layers, predictor.Shape.Experts);
    }

    /// <summary>Probability from which an expert is loaded ahead, now.</summary>
    public float Threshold => _fixedThreshold ?? _threshold.Value;

    /// <summary>Layers ahead in this step; 0 where only the token ids speak, <see cref="HorizonController.Off"/> where nothing is planned.</summary>
    public int CurrentHorizon { get; private set; }

    public RoutingPredictor Predictor => _predictor;

    public Func<ExpertKey, long>? NextUse => _reuse.NextUse;

    public Residency Residency { get; }

    public bool LooksAhead => CurrentHorizon != HorizonController.Off;

    public int Horizon(int layer) => Math.Max(0, CurrentHorizon);

    public bool WantsGate(int layer) => CurrentHorizon > 0;

    public bool WhileWaiting() => _predictor.LearnPostponed();

    public bool Wants(int layer, int distance) =>
        distance == 1 || distance == CurrentHorizon || !_reuse.IsPredicted((layer + distance) % _predictor.Shape.Layers);

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens)
    {
        _predictor.Begin(tokens);
        if (_controller is not null)
        {
            _controller = _controllers[Math.Min(SizeClasses - 1, BitOperations.Log2((uint)Math.Max(1, tokens.Length)))];
            _controller.Begin();
        }
        CurrentHorizon = _controller?.Horizon ?? _fixed;
        return LooksAhead ? Plan(null, _fromTokens) : [];
    }

    public IReadOnlyList<PrefetchRequest>? Plan(LayerRouting routing)
    {
        // To learn is not urgent: it waits until this thread would stand idle.
        if (LooksAhead)
            _predictor.Learn(routing.Layer, routing.Chosen, postpone: true);
        _reuse.Used(routing.Layer, routing.Chosen);
        _used = 0;
        _runs++;
        foreach (int expert in routing.Chosen)
        {
            int at = At(routing.Layer, expert);
            if (_usedIn[at] == _runs)
                continue;
            _usedIn[at] = _runs;
            _used++;
        }
        return routing.Ahead.Count == 0 ? null : Plan(routing, Math.Max(routing.Ahead.Count, _fromTokens - 1 - routing.Layer));
    }

    public void Observe(PrefetchFeedback feedback)
    {
        _threshold.Observe(feedback);
        _controller?.Observe(feedback, _used);
    }

    /// <summary>Predicts what is to be predicted, and plans all layers up to a distance of which there is a prediction.</summary>
    private List<PrefetchRequest> Plan(LayerRouting? routing, int reach)
    {
        _plan.Clear();
        _plans++;
        float threshold = Threshold;
        int source = routing?.Layer ?? -1;
        for (int distance = 1; distance <= reach; distance++)
        {
            int layer = (source + distance) % _predictor.Shape.Layers;
            if (routing is null || (distance <= routing.Ahead.Count && Wants(source, distance) && routing.Ahead[distance - 1].Probabilities.Length > 0))
            {
                _predictor.Predict(routing, distance, _use);
                _reuse.Predicted(layer, _use);
            }
            else if (!_reuse.IsPredicted(layer))
            {
                continue;
            }
            var use = _reuse.Near(layer);
            if (distance == 1)
                _controller?.Expect(TensorPrimitives.Sum(use));
            int first = _plan.Count;
            for (int e = 0; e < use.Length; e++)
            {
                if (use[e] < threshold || _plannedIn[At(layer, e)] == _plans)
                    continue;
                _plannedIn[At(layer, e)] = _plans;
                _plan.Add(new PrefetchRequest(new ExpertKey(layer, e), use[e]));
            }
            CollectionsMarshal.AsSpan(_plan)[first..].Sort(static (a, b) => b.Score.CompareTo(a.Score));
        }
        if (Residency.IsFull)
            DropHopeless();
        return _plan;
    }

    /// <summary>Drops what is expected less than all that is in memory: it would wake threads that load, and find no buffer.</summary>
    private void DropHopeless()
    {
        float least = -1;
        int kept = 0;
        var plan = CollectionsMarshal.AsSpan(_plan);
        foreach (var request in plan)
        {
            bool hopeful = Residency[request.Key];
            if (!hopeful)
            {
                least = least < 0 ? _reuse.Least(Residency) : least;
                hopeful = _reuse.Uses(request.Key.Layer, request.Key.Expert) > least;
            }
            if (hopeful)
                plan[kept++] = request;
        }
        CollectionsMarshal.SetCount(_plan, kept);
    }

    private int At(int layer, int expert) => (layer * _predictor.Shape.Experts) + expert;
}
