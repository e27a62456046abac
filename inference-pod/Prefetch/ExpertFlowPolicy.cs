using System.Numerics;
using System.Numerics.Tensors;
using Moebius.Inference.Experts;
using Moebius.Inference.Prediction;

namespace Moebius.Inference.Prefetch;

/// <summary>
/// Loads what the predictor expects in the layers up to the horizon, which controllers adapt. Before the first
/// layer the token ids speak for the first layers. A layer is predicted again from each layer that comes nearer to it.
/// </summary>
internal sealed class ExpertFlowPolicy : IPrefetchPolicy
{
    private readonly RoutingPredictor _predictor;
    private readonly HorizonController[] _controllers;
    private readonly int _fixed;
    private HorizonController? _controller;
    private readonly float? _fixedThreshold;
    private readonly LoadThreshold _threshold = new();
    private readonly float[] _use;
    private readonly ReuseEstimate _reuse;
    private readonly HashSet<ExpertKey> _planned = [];
    private int _used, _unforeseen;

    /// <summary>Steps of 1, 2 to 3, 4 to 7 tokens and so on have a horizon each: a prompt needs and costs other than a token.</summary>
    private const int SizeClasses = 12;

    /// <param name="predictor">Predicts; it goes on learning.</param>
    /// <param name="limits">Bounds of the horizon.</param>
    /// <param name="horizon">A fixed horizon instead of an adapted one; 0 adapts.</param>
    /// <param name="threshold">Probability from which an expert is loaded ahead, above 0, at most 1; null follows the link's load.</param>
    public ExpertFlowPolicy(RoutingPredictor predictor, HorizonLimits limits, int horizon = 0, float? threshold = null)
    {
        _predictor = predictor;
        // A layer predicts no farther than itself in the next step.
        limits = limits with { MaxHorizon = Math.Min(limits.MaxHorizon, predictor.Shape.Layers) };
        _controllers = horizon == 0 ? [.. Enumerable.Range(0, SizeClasses).Select(_ => new HorizonController(limits))] : [];
        _controller = _controllers.Length > 0 ? _controllers[0] : null;
        _fixed = Math.Min(horizon, predictor.Shape.Layers);
        _fixedThreshold = threshold;
        _use = new float[predictor.Shape.Experts];
        _reuse = new ReuseEstimate(predictor.Shape.Layers, predictor.Shape.Experts, predictor.Shape.TopK);
    }

    /// <summary>Probability from which an expert is loaded ahead, now.</summary>
    public float Threshold => _fixedThreshold ?? _threshold.Value;

    /// <summary>Layers ahead, now; 0 for none.</summary>
    public int CurrentHorizon => _controller?.Horizon ?? _fixed;

    public RoutingPredictor Predictor => _predictor;

    public Func<ExpertKey, long>? NextUse => _reuse.NextUse;

    public int Horizon(int layer) => CurrentHorizon;

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens)
    {
        _predictor.Begin(tokens);
        if (_controller is not null)
            _controller = _controllers[Math.Min(SizeClasses - 1, BitOperations.Log2((uint)Math.Max(1, tokens.Length)))];
        return Plan(null, CurrentHorizon);
    }

    public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing)
    {
        _predictor.Learn(routing.Layer, routing.Chosen);
        _reuse.Used(routing.Layer, routing.Chosen);
        (_used, _unforeseen) = (0, 0);
        Span<bool> seen = stackalloc bool[_use.Length];
        seen.Clear();
        foreach (int expert in routing.Chosen)
        {
            if (seen[expert])
                continue;
            seen[expert] = true;
            _used++;
            _unforeseen += _planned.Contains(new ExpertKey(routing.Layer, expert)) ? 0 : 1;
        }
        return Plan(routing, routing.Ahead.Count);
    }

    public void Observe(PrefetchFeedback feedback)
    {
        _threshold.Observe(feedback);
        _controller?.Observe(feedback, _used, Math.Max(0, feedback.Misses - _unforeseen));
    }

    private List<PrefetchRequest> Plan(LayerRouting? routing, int horizon)
    {
        _planned.Clear();
        if (horizon == 0)
            return [];
        var plan = new List<PrefetchRequest>();
        float threshold = Threshold;
        for (int distance = 1; distance <= horizon; distance++)
        {
            _predictor.Predict(routing, distance, _use);
            if (distance == 1)
                _controller?.Expect(TensorPrimitives.Sum<float>(_use));
            int layer = ((routing?.Layer ?? -1) + distance) % _predictor.Shape.Layers, first = plan.Count;
            _reuse.Predicted(layer, _use);
            for (int e = 0; e < _use.Length; e++)
            {
                if (_use[e] >= threshold && _planned.Add(new ExpertKey(layer, e)))
                    plan.Add(new PrefetchRequest(new ExpertKey(layer, e), _use[e]));
            }
            plan.Sort(first, plan.Count - first, Comparer<PrefetchRequest>.Create((a, b) => b.Score.CompareTo(a.Score)));
        }
        return plan;
    }
}
