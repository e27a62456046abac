using Moebius.Inference.Experts;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Simulation;

/// <summary>Knows the routing to come and asks for exactly what the next layers use: what bandwidth and memory allow.</summary>
/// <param name="source">The routing.</param>
/// <param name="horizon">Layers ahead.</param>
/// <param name="future">Told which layer runs; null when nobody asks.</param>
internal sealed class OraclePolicy(RoutingReplay source, int horizon, FutureUses? future = null) : IPrefetchPolicy
{
    private int _step = -1;
    private int _layer;

    public Func<ExpertKey, long>? NextUse { get; } = future is null ? null : future.Next;

    public int Horizon(int layer) => 0;

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens)
    {
        (_step, _layer) = (_step + 1, -1);
        return Next();
    }

    public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing)
    {
        _layer = routing.Layer;
        future?.At(_step, _layer);
        return Next();
    }

    public void Observe(PrefetchFeedback feedback)
    {
    }

    private List<PrefetchRequest> Next()
    {
        var plan = new List<PrefetchRequest>();
        for (var ahead = 1; ahead <= horizon; ahead++)
        {
            var (steps, target) = Math.DivRem(_layer + ahead, source.Shape.Layers);
            if (_step + steps >= source.Steps)
                break;
            plan.AddRange(source.Chosen(_step + steps, target).Distinct().Order().Select(expert => new PrefetchRequest(new ExpertKey(target, expert), 1)));
        }

        return plan;
    }
}

/// <summary>When each expert is used next, for an eviction that knows the future.</summary>
internal sealed class FutureUses
{
    private readonly Dictionary<ExpertKey, Queue<long>> _uses = [];
    private readonly int _layers;
    private long _now = -1;

    public FutureUses(RoutingReplay source)
    {
        _layers = source.Shape.Layers;
        for (var step = 0; step < source.Steps; step++)
        {
            for (var layer = 0; layer < _layers; layer++)
            {
                foreach (var expert in source.Chosen(step, layer).Distinct())
                {
                    var key = new ExpertKey(layer, expert);
                    if (!_uses.TryGetValue(key, out var times))
                        _uses[key] = times = new Queue<long>();
                    times.Enqueue(((long)step * _layers) + layer);
                }
            }
        }
    }

    /// <summary>The layer that runs now.</summary>
    public void At(int step, int layer) => _now = ((long)step * _layers) + layer;

    /// <summary>Layers counted from the first step; far beyond the end when it is not used again.</summary>
    public long Next(ExpertKey key)
    {
        if (!_uses.TryGetValue(key, out var times))
            return long.MaxValue;
        while (times.Count > 0 && times.Peek() <= _now)
            times.Dequeue();
        return times.Count > 0 ? times.Peek() : long.MaxValue;
    }
}
