using Moebius.Inference.Experts;
using Moebius.Inference.Prefetch;

namespace Moebius.Bench.Inference;

/// <summary>Which experts each layer of each step used, in the order in which the layers ran.</summary>
internal sealed class RoutingRecord
{
    private readonly List<ExpertKey[]> _layers = [];

    /// <summary>Layers run so far, over all steps.</summary>
    public int Count => _layers.Count;

    public ExpertKey[] this[int position] => _layers[position];

    public void Add(int layer, int[] chosen) => _layers.Add([.. chosen.Distinct().Select(e => new ExpertKey(layer, e))]);

    /// <summary>For each expert, the positions at which it is used, ascending.</summary>
    public Dictionary<ExpertKey, int[]> Uses() => _layers
        .SelectMany((keys, position) => keys.Select(key => (key, position)))
        .GroupBy(use => use.key, use => use.position).ToDictionary(uses => uses.Key, uses => uses.ToArray());
}

/// <summary>Loads nothing ahead and writes down the routing.</summary>
internal sealed class Recorder(RoutingRecord record) : IPrefetchPolicy
{
    public int Horizon(int layer) => 0;

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens) => [];

    public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing)
    {
        record.Add(routing.Layer, routing.Chosen);
        return [];
    }

    public void Observe(PrefetchFeedback feedback)
    {
    }
}

/// <summary>
/// Knows what was recorded: plans exactly the experts of the next layers, the soonest first, the next step's among them.
/// What it achieves is what the link and the budget allow at that horizon.
/// </summary>
/// <param name="record">The routing of the same input.</param>
/// <param name="horizon">Layers ahead.</param>
/// <param name="most">Most experts in a plan, so that a plan fits the budget.</param>
/// <param name="belady">Evict what is used last, too, instead of the cache's two levels.</param>
internal sealed class Oracle(RoutingRecord record, int horizon, int most, bool belady) : IPrefetchPolicy
{
    private readonly Dictionary<ExpertKey, int[]> _uses = record.Uses();
    private int _position = -1;

    public int Horizon(int layer) => 0;

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens) => Ahead(_position);

    public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing)
    {
        var position = _position + 1;
        if (position >= record.Count || !record[position].Select(key => key.Expert).SequenceEqual(routing.Chosen.Distinct()))
            throw new InvalidOperationException($"layer run {position} does not route as recorded: the inputs differ");
        Volatile.Write(ref _position, position);
        return Ahead(position);
    }

    public void Observe(PrefetchFeedback feedback)
    {
    }

    public Func<ExpertKey, long>? NextUse => belady ? Next : null;

    private long Next(ExpertKey key)
    {
        if (!_uses.TryGetValue(key, out var positions))
            return long.MaxValue;
        var next = Array.BinarySearch(positions, Volatile.Read(ref _position) + 1);
        next = next < 0 ? ~next : next;
        return next < positions.Length ? positions[next] : long.MaxValue;
    }

    private List<PrefetchRequest> Ahead(int position)
    {
        var plan = new List<PrefetchRequest>();
        var seen = new HashSet<ExpertKey>();
        for (var next = position + 1; next <= position + horizon && next < record.Count; next++)
        {
            foreach (var key in record[next])
            {
                if (plan.Count == most)
                    return plan;
                if (seen.Add(key))
                    plan.Add(new PrefetchRequest(key, 1));
            }
        }
        return plan;
    }
}
