using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Moebius.Inference.Experts;
using Moebius.Inference.Prediction;

namespace Moebius.Inference.Prefetch;

/// <summary>
/// Loads what the predictor expects. Before the first layer the token ids, and what each layer used in the step before, speak for all layers,
/// which costs little; then each layer speaks for those up to the horizon, which controllers adapt. Where predicting takes a share of
/// a layer that is worth weighing, a layer is predicted when it comes inside the horizon and once more from the layer before it. With a
/// horizon of 0 what they say is all.
/// </summary>
internal sealed class ExpertFlowPolicy : IPrefetchPolicy
{
    private readonly RoutingPredictor _predictor;
    private readonly HorizonController[] _controllers;
    private readonly int _fixed;
    private HorizonController? _controller;
    private readonly float? _fixedThreshold;
    private readonly LoadThreshold _threshold = new();
    private readonly ReuseEstimate _reuse;
    private readonly LayerReach _reach;
    private readonly float[] _use;
    private readonly List<PrefetchRequest> _plan = [];

    /// <summary>For each request of the plan, how late its turn comes: less is sooner.</summary>
    private readonly List<float> _order = [];

    /// <summary>For each request of the plan that is not in memory, the probability that it is loaded in vain.</summary>
    private readonly List<float> _risks = [];

    /// <summary>
    /// What an expert one layer farther counts of one that is as likely: it may still be loaded later, and what is known of it
    /// then is surer.
    /// </summary>
    private const float PerLayer = 0.8f;

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
        _fixedThreshold = threshold;
        _use = new float[predictor.Shape.Experts];
        _reach = new LayerReach(predictor.Shape.Layers, limits.MaxHorizon);
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

    /// <summary>Whether a layer takes so long that all predictions, and learning from them, are nothing beside it.</summary>
    private bool PlanningIsFree => _controller?.IsFree ?? false;

    public bool LooksAhead => CurrentHorizon != HorizonController.Off;

    public int Horizon(int layer) => CurrentHorizon < 1 ? 0 : PlanningIsFree ? CurrentHorizon : _reach.From(layer, CurrentHorizon);

    public bool WantsGate(int layer) => CurrentHorizon > 0;

    public bool WhileWaiting() => _predictor.LearnPostponed();

    public bool Wants(int layer, int distance)
    {
        if (PlanningIsFree || distance == 1)
            return true;
        var target = (layer + distance) % _predictor.Shape.Layers;
        var reach = _reach.Of(target, CurrentHorizon);
        return distance == reach || (distance < reach && !_reuse.IsPredicted(target));
    }

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens)
    {
        _predictor.Begin(tokens);
        if (_controller is not null)
        {
            _controller = _controllers[Math.Min(SizeClasses - 1, BitOperations.Log2((uint)Math.Max(1, tokens.Length)))];
            _controller.Begin();
        }
        CurrentHorizon = _controller?.Horizon ?? _fixed;
        return LooksAhead ? Plan(null, _predictor.Shape.Layers) : [];
    }

    public IReadOnlyList<PrefetchRequest>? Plan(LayerRouting routing)
    {
        // To learn is not urgent: where it takes a share of a layer it waits until this thread would stand idle.
        if (LooksAhead)
            _predictor.Learn(routing.Layer, routing.Chosen, postpone: !PlanningIsFree);
        _reuse.Used(routing.Layer, routing.Chosen);
        return routing.Ahead.Count == 0 ? null : Plan(routing, Math.Max(routing.Ahead.Count, _predictor.Shape.Layers - 1 - routing.Layer));
    }

    public void Observe(PrefetchFeedback feedback)
    {
        _threshold.Observe(feedback, shortLayers: !PlanningIsFree);
        if (CurrentHorizon > 0 && _controller is { IsFree: false, IsComparing: false })
            _reach.Observe(feedback.Layer, CurrentHorizon, feedback.Late + feedback.Queued);
        // Loads begin in the plan's order.
        var ahead = Math.Min(feedback.Ahead, _risks.Count);
        _controller?.Observe(feedback, TensorPrimitives.Sum<float>(CollectionsMarshal.AsSpan(_risks)[..ahead]));
        _risks.RemoveRange(0, ahead);
    }

    /// <summary>
    /// Predicts what is to be predicted, and plans all layers up to a distance of which there is a prediction: the likeliest
    /// expert first, whichever layer it is of. The nearest layer first would let what is unlikely there delay what is likely
    /// farther on, which then comes late.
    /// </summary>
    private List<PrefetchRequest> Plan(LayerRouting? routing, int reach)
    {
        _plan.Clear();
        _order.Clear();
        var threshold = Threshold;
        var source = routing?.Layer ?? -1;
        float weight = 1;
        for (var distance = 1; distance <= reach; distance++, weight *= PerLayer)
        {
            var layer = (source + distance) % _predictor.Shape.Layers;
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
            for (var e = 0; e < use.Length; e++)
            {
                if (use[e] < threshold)
                    continue;
                _plan.Add(new PrefetchRequest(new ExpertKey(layer, e), use[e]));
                _order.Add(-weight * use[e]);
            }
        }
        CollectionsMarshal.AsSpan(_order).Sort(CollectionsMarshal.AsSpan(_plan));
        Sift();
        return _plan;
    }

    /// <summary>
    /// Drops what is expected less than all that is in memory, where that is full: it would wake threads that load, and find no
    /// buffer. Of what is left to be loaded it notes how likely it is in vain.
    /// </summary>
    private void Sift()
    {
        float least = -1;
        var kept = 0;
        _risks.Clear();
        var plan = CollectionsMarshal.AsSpan(_plan);
        foreach (var request in plan)
        {
            if (!Residency[request.Key])
            {
                if (Residency.IsFull)
                {
                    least = least < 0 ? _reuse.Least(Residency) : least;
                    if (_reuse.Uses(request.Key.Layer, request.Key.Expert) <= least)
                        continue;
                }
                _risks.Add(1 - request.Score);
            }
            plan[kept++] = request;
        }
        CollectionsMarshal.SetCount(_plan, kept);
    }
}
