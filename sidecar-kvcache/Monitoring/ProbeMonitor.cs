using System.Collections.Concurrent;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Monitoring;

/// <summary>An entry that was judged, and who made the hits.</summary>
internal sealed record ProbeAlarm(IndexNode Entry, ProbeVerdict Verdict, int Hits, int Distinct, double Entropy, IReadOnlyList<TenantKey> Suspects);

/// <summary>
/// Watches the entries that a classifier cleared. What is public by declaration or by mode says nothing to whoever
/// finds it, so it is not watched. An entry's own tenant does not count: its reuse is no probing.
/// </summary>
internal sealed class ProbeMonitor(Func<MonitorSettings> settings, Func<long> now)
{
    /// <summary>Entries watched at once; beyond, an entry is watched when another one's windows have passed.</summary>
    public const int MaxEntries = 1 << 20;

    /// <summary>Tenants isolated at once.</summary>
    public const int MaxIsolated = 10_000;

    private readonly ConcurrentDictionary<IndexNode, Windows> _entries = [];
    private readonly ConcurrentDictionary<TenantKey, long> _isolatedUntil = [];
    private readonly ConcurrentQueue<ProbeAlarm> _alarms = [];

    public int Watched => _entries.Count;

    public int Isolated => _isolatedUntil.Count;

    /// <summary>Counts a hit. Called under the index's read lock: alarms are only noted here.</summary>
    public void Record(IndexNode entry, TenantKey tenant)
    {
        var current = settings();
        if (!current.Enabled || entry.Reason is not { IsCleared: true } || entry.Origin == tenant)
            return;
        if (!_entries.TryGetValue(entry, out var windows))
        {
            if (_entries.Count >= MaxEntries)
                return;
            windows = _entries.GetOrAdd(entry, static _ => new Windows());
        }

        lock (windows)
        {
            windows.MoveTo(now() / Math.Max(1, (long)current.Window.TotalMilliseconds));
            windows.Current.Add(tenant);
            if (windows.Judged)
                return;
            var (hits, distinct) = (windows.Current.Hits, windows.Current.Distinct());
            var verdict = ProbeRules.Judge(hits, distinct, windows.Previous.Hits, windows.Previous.Distinct(), current);
            if (verdict == ProbeVerdict.None)
                return;
            windows.Judged = true;
            _alarms.Enqueue(new ProbeAlarm(entry, verdict, hits, distinct, windows.Current.Entropy(), windows.Current.Heavy()));
        }
    }

    /// <summary>The next alarm that nobody has acted on.</summary>
    public bool TryTakeAlarm(out ProbeAlarm? alarm) => _alarms.TryDequeue(out alarm);

    /// <summary>Lets a tenant see only its own entries for a while.</summary>
    public void Isolate(TenantKey tenant, TimeSpan time)
    {
        if (time > TimeSpan.Zero && _isolatedUntil.Count < MaxIsolated)
            _isolatedUntil[tenant] = now() + (long)time.TotalMilliseconds;
    }

    public bool IsIsolated(TenantKey tenant) => !_isolatedUntil.IsEmpty && _isolatedUntil.TryGetValue(tenant, out var until) && now() < until;

    /// <summary>Forgets entries whose two windows have passed and tenants whose isolation is over.</summary>
    public void Sweep()
    {
        var window = now() / Math.Max(1, (long)settings().Window.TotalMilliseconds);
        foreach (var (entry, windows) in _entries)
        {
            if (entry.Removed || entry.Visibility != Visibility.Public || Volatile.Read(ref windows.Number) < window - 1)
                _entries.TryRemove(entry, out _);
        }

        foreach (var (tenant, until) in _isolatedUntil)
        {
            if (until <= now())
                _isolatedUntil.TryRemove(tenant, out _);
        }
    }

    private sealed class Windows
    {
        public long Number;

        public TenantSketch Current { get; private set; } = new();

        public TenantSketch Previous { get; private set; } = new();

        /// <summary>An alarm was raised in this window.</summary>
        public bool Judged { get; set; }

        public void MoveTo(long number)
        {
            if (number == Number)
                return;
            Previous = number == Number + 1 ? Current : new TenantSketch();
            Current = new TenantSketch();
            Judged = false;
            Volatile.Write(ref Number, number);
        }
    }
}
