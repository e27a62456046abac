using System.Collections.Concurrent;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Monitoring;

/// <summary>An entry that was judged, and who made the hits.</summary>
/// <param name="Entry">The entry.</param>
/// <param name="Verdict">What the rules say.</param>
/// <param name="Use">The window.</param>
/// <param name="Suspects">Tenants with a quarter of the hits or more, by half of their keys.</param>
internal sealed record ProbeAlarm(IndexNode Entry, ProbeVerdict Verdict, WindowUse Use, IReadOnlyList<ulong> Suspects);

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
    private readonly ConcurrentDictionary<ulong, long> _isolatedUntil = [];
    private readonly ConcurrentQueue<ProbeAlarm> _alarms = [];

    // Asking a concurrent dictionary for its size stops all its users.
    private int _watched;
    private int _isolated;

    public int Watched => Volatile.Read(ref _watched);

    public int Isolated => Volatile.Read(ref _isolated);

    /// <summary>Counts a hit. Called under the index's read lock: alarms are only noted here.</summary>
    public void Record(IndexNode entry, TenantKey tenant)
    {
        var current = settings();
        if (!current.Enabled || entry.Reason is not { IsCleared: true } || entry.Origin == tenant)
            return;
        if (!_entries.TryGetValue(entry, out var windows))
        {
            if (Watched >= MaxEntries)
                return;
            windows = new Windows();
            if (_entries.TryAdd(entry, windows))
                Interlocked.Increment(ref _watched);
            else if (!_entries.TryGetValue(entry, out windows))
                return;
        }

        lock (windows)
        {
            windows.MoveTo(now() / Math.Max(1, (long)current.Window.TotalMilliseconds));
            windows.Current.Add(tenant);
            // Below the least number of hits there is nothing to judge, and most entries stay there.
            if (windows.Judged || windows.Current.Hits < current.MinHits)
                return;
            var use = new WindowUse(windows.Current.Hits, windows.Current.Distinct(), windows.Current.Entropy());
            var verdict = ProbeRules.Judge(use, windows.PreviousHits, windows.PreviousDistinct, current);
            if (verdict == ProbeVerdict.None)
                return;
            windows.Judged = true;
            _alarms.Enqueue(new ProbeAlarm(entry, verdict, use, windows.Current.Heavy()));
        }
    }

    /// <summary>The next alarm that nobody has acted on.</summary>
    public bool TryTakeAlarm(out ProbeAlarm? alarm) => _alarms.TryDequeue(out alarm);

    /// <summary>Lets a tenant see only its own entries for a while.</summary>
    /// <param name="tenant">Half of its key.</param>
    /// <param name="time">How long; zero: not at all.</param>
    public void Isolate(ulong tenant, TimeSpan time)
    {
        if (time <= TimeSpan.Zero || Isolated >= MaxIsolated)
            return;
        var until = now() + (long)time.TotalMilliseconds;
        if (_isolatedUntil.TryAdd(tenant, until))
            Interlocked.Increment(ref _isolated);
        else
            _isolatedUntil[tenant] = until;
    }

    public bool IsIsolated(TenantKey tenant) => Isolated > 0 && _isolatedUntil.TryGetValue(tenant.Low, out var until) && now() < until;

    /// <summary>Forgets entries whose two windows have passed and tenants whose isolation is over.</summary>
    public void Sweep()
    {
        var window = now() / Math.Max(1, (long)settings().Window.TotalMilliseconds);
        foreach (var (entry, windows) in _entries)
        {
            if (entry.Removed || entry.Visibility != Visibility.Public || Volatile.Read(ref windows.Number) < window - 1)
                Interlocked.Add(ref _watched, _entries.TryRemove(entry, out _) ? -1 : 0);
        }

        foreach (var (tenant, until) in _isolatedUntil)
        {
            if (until <= now())
                Interlocked.Add(ref _isolated, _isolatedUntil.TryRemove(tenant, out _) ? -1 : 0);
        }
    }

    /// <summary>This window in full and of the one before what the rules need: about 130 bytes.</summary>
    private sealed class Windows
    {
        public long Number;

        public TenantSketch Current;

        public int PreviousHits { get; private set; }

        public int PreviousDistinct { get; private set; }

        /// <summary>An alarm was raised in this window.</summary>
        public bool Judged { get; set; }

        public void MoveTo(long number)
        {
            if (number == Number)
                return;
            (PreviousHits, PreviousDistinct) = number == Number + 1 ? (Current.Hits, Current.Distinct()) : (0, 0);
            Current = default;
            Judged = false;
            Volatile.Write(ref Number, number);
        }
    }
}
