using Moebius.Inference.Experts;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Simulation;

/// <summary>Times of the simulated machine, in seconds.</summary>
/// <param name="Transfer">Of one expert over the link, one at a time.</param>
/// <param name="Dense">Of a layer before its experts.</param>
/// <param name="Expert">Of one expert over a number of rows.</param>
/// <param name="Other">Of what a step does outside its MoE layers.</param>
internal sealed record SimulatedTimes(double Transfer, double Dense, Func<int, double> Expert, double Other)
{
    /// <summary>Of an expert that is loaded ahead: a study may make it shorter.</summary>
    public double TransferAhead { get; init; } = Transfer;

    /// <summary>By the roofline: weights are read once, or the arithmetic takes longer.</summary>
    public static SimulatedTimes Of(HardwareProfile hardware, ModelShape shape, int batch)
    {
        double Work(double bytes, int rows) => Math.Max(bytes / (hardware.MemoryGBs * 1e9), bytes * rows / (hardware.Teraflops * 1e12));
        return new SimulatedTimes(
            shape.ExpertBytes / (hardware.LinkGBs * 1e9) + hardware.LinkMicroseconds * 1e-6,
            Work(shape.LayerBytes, batch) + hardware.LayerMicroseconds * 1e-6,
            rows => Work(shape.ExpertBytes, rows) + hardware.ExpertMicroseconds * 1e-6,
            Work(shape.OtherBytes, batch));
    }
}

/// <summary>What a simulated run cost, after its warm-up.</summary>
internal sealed record SimulatedRun(long Tokens, double Seconds, double StallSeconds, long Hits, long Misses, long Prefetched, long OverFetched, long Loaded, double MeanHorizon, double Recall, double Precision)
{
    public double TokensPerSecond => Tokens / Seconds;

    public double HitRate => Hits / (double)Math.Max(1, Hits + Misses);

    /// <summary>Experts loaded ahead and evicted unused, as a share of all loaded ahead.</summary>
    public double OverFetchRate => OverFetched / (double)Math.Max(1, Prefetched);
}

/// <summary>
/// SIMULATION. Replays routing on a clock of its own, through the policy, cache and queue that the engine runs. A
/// layer computes its dense part, routes, runs resident experts, then the missing ones as they arrive; the link moves
/// one expert at a time meanwhile.
/// </summary>
internal sealed class Simulator
{
    private readonly RoutingReplay _source;
    private readonly SimulatedTimes _times;
    private readonly IPrefetchPolicy _policy;
    private readonly ExpertScheduler _scheduler;
    private double _now;
    private Transfer? _moving;
    private double _arrival;
    private long _loaded, _begun;
    private readonly Queue<ExpertKey> _arrived = new();
    private readonly HashSet<ExpertKey> _plan = [];
    private long _planned, _used, _foreseen;

    /// <param name="source">Routing.</param>
    /// <param name="times">The machine.</param>
    /// <param name="policy">Decides what to load ahead.</param>
    /// <param name="slots">Experts that fit; at least 1.</param>
    public Simulator(RoutingReplay source, SimulatedTimes times, IPrefetchPolicy policy, int slots)
    {
        (_source, _times, _policy) = (source, times, policy);
        _scheduler = new ExpertScheduler(new ExpertCache(slots, policy.NextUse, policy.Residency));
    }

    /// <summary>Runs all steps and counts from <paramref name="warmUp"/> on.</summary>
    public SimulatedRun Run(int warmUp)
    {
        double stall = 0, began = 0, horizons = 0;
        (long Hits, long Misses, long Prefetched, long OverFetched, long Loaded) before = default;
        long tokens = 0;
        for (var step = 0; step < _source.Steps; step++)
        {
            if (step == warmUp)
            {
                (began, stall, horizons, tokens) = (_now, 0, 0, 0);
                before = Counters();
                (_planned, _used, _foreseen) = (0, 0, 0);
            }
            var ids = _source.Tokens(step);
            tokens += ids.Length;
            TakeOver(_policy.Begin(ids));
            Advance(_times.Other);
            for (var layer = 0; layer < _source.Shape.Layers; layer++)
            {
                stall += Layer(step, layer);
                horizons += _policy.Horizon(layer);
            }
        }
        var after = Counters();
        return new SimulatedRun(tokens, _now - began, stall, after.Hits - before.Hits, after.Misses - before.Misses,
            after.Prefetched - before.Prefetched, after.OverFetched - before.OverFetched, after.Loaded - before.Loaded,
            horizons / Math.Max(1, _source.Steps - warmUp) / _source.Shape.Layers, _foreseen / (double)Math.Max(1, _used), _foreseen / (double)Math.Max(1, _planned));
    }

    private (long Hits, long Misses, long Prefetched, long OverFetched, long Loaded) Counters() =>
        (_scheduler.Hits, _scheduler.Misses, _scheduler.Prefetched, _scheduler.Cache.OverFetched, _loaded);

    /// <summary>One layer; returns its stall.</summary>
    private double Layer(int step, int layer)
    {
        long overFetched = _scheduler.Cache.OverFetched, begun = _begun, ahead = _scheduler.Prefetched;
        var (late, queued, evicted) = (_scheduler.Late, _scheduler.Queued, _scheduler.EvictedEarly);
        Advance(_times.Dense);
        var rows = _source.Chosen(step, layer).GroupBy(e => e).OrderBy(g => g.Key).ToDictionary(g => new ExpertKey(layer, g.Key), g => g.Count());
        Score(layer, rows.Keys);
        var resident = rows.Keys.Where(key => _scheduler.TryUse(key, out _)).ToList();
        var missing = rows.Count - resident.Count;
        TakeOver(_policy.Plan(_source.Routing(step, layer, _policy.Horizon(layer))));
        while (missing > 0 && _policy.WhileWaiting())
        {
        }
        double compute = _times.Dense, stall = 0;
        foreach (var key in resident)
            compute += Compute(key, rows[key]);
        for (var i = 0; i < missing; i++)
        {
            while (_arrived.Count == 0)
            {
                if (_moving is null)
                    throw new InvalidOperationException("compute waits for an expert that is not on its way");
                stall += Math.Max(0, _arrival - _now);
                Proceed();
            }
            var key = _arrived.Dequeue();
            compute += Compute(key, rows[key]);
        }
        _policy.Observe(new PrefetchFeedback(layer, stall, missing, (int)(_scheduler.Cache.OverFetched - overFetched), compute, _times.Transfer, (int)(_begun - begun))
        {
            Used = rows.Count,
            Ahead = (int)(_scheduler.Prefetched - ahead),
            Late = (int)(_scheduler.Late - late),
            Queued = (int)(_scheduler.Queued - queued),
            EvictedEarly = (int)(_scheduler.EvictedEarly - evicted),
        });
        return stall;
    }

    /// <summary>Runs one pinned expert, then lets it go.</summary>
    private double Compute(ExpertKey key, int rows)
    {
        var seconds = _times.Expert(rows);
        Advance(seconds);
        _scheduler.Release(key);
        Pump();
        return seconds;
    }

    private void TakeOver(IReadOnlyList<PrefetchRequest>? plan)
    {
        if (plan is not null)
        {
            _scheduler.Plan(plan);
            _plan.Clear();
            foreach (var request in plan)
                _plan.Add(request.Key);
        }
        Pump();
    }

    private void Score(int layer, IEnumerable<ExpertKey> used)
    {
        _planned += _plan.Count(key => key.Layer == layer);
        foreach (var key in used)
        {
            _used++;
            _foreseen += _plan.Contains(key) ? 1 : 0;
        }
    }

    private void Advance(double seconds)
    {
        var until = _now + seconds;
        while (_moving is not null && _arrival <= until)
            Proceed();
        _now = until;
    }

    /// <summary>The load under way ends, and the next begins.</summary>
    private void Proceed()
    {
        _now = Math.Max(_now, _arrival);
        var transfer = _moving!;
        _moving = null;
        _loaded++;
        if (_scheduler.Complete(transfer.Key))
            _arrived.Enqueue(transfer.Key);
        Pump();
    }

    private void Pump()
    {
        if (_moving is not null || !_scheduler.TryBegin(out _moving))
            return;
        _begun++;
        _arrival = _now + (_moving.Request.Demanded ? _times.Transfer : _times.TransferAhead);
    }
}
