using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;

namespace Moebius.Cxl.Telemetry;

/// <summary>A cgroup's counters and what they say.</summary>
/// <param name="Id">The kernel's id.</param>
/// <param name="Path">Path from the hierarchy's root.</param>
/// <param name="Total">Counted since the observer saw it first.</param>
/// <param name="Delta">Counted in the last interval.</param>
/// <param name="Intent">Its class: the hint's where there is one, else its own mix's.</param>
/// <param name="Hinted">True if the class comes from a hint.</param>
/// <param name="ReadShare">Smoothed share of reads, 0 to 1; null before the first traffic.</param>
internal sealed record CgroupActivity(ulong Id, string Path, CgroupCounters Total, CgroupCounters Delta, MemoryIntent Intent, bool Hinted, double? ReadShare);

/// <summary>Turns successive snapshots into activity per cgroup, and finds the cgroups that are gone. Pure state, no I/O.</summary>
internal sealed class ActivityTracker(MixClassifier classifier, bool perfEvents)
{
    private Dictionary<ulong, (CgroupCounters Total, MixState Mix)> _known = [];

    /// <summary>
    /// Takes a snapshot. <paramref name="paths"/> are the cgroups that exist; <paramref name="hints"/> the intents that are
    /// known from elsewhere. Counters of a cgroup that does not exist go to <paramref name="gone"/>.
    /// </summary>
    public IReadOnlyList<CgroupActivity> Update(
        IReadOnlyDictionary<ulong, CgroupCounters> snapshot,
        IReadOnlyDictionary<ulong, string> paths,
        IReadOnlyDictionary<ulong, MemoryIntent> hints,
        out IReadOnlyList<ulong> gone)
    {
        var next = new Dictionary<ulong, (CgroupCounters, MixState)>(snapshot.Count);
        var activity = new List<CgroupActivity>(snapshot.Count);
        var vanished = new List<ulong>();
        foreach (var (id, total) in snapshot)
        {
            if (!paths.TryGetValue(id, out var path))
            {
                vanished.Add(id);
                continue;
            }

            var before = _known.GetValueOrDefault(id);
            var delta = Difference(total, before.Total);
            var mix = perfEvents
                ? classifier.Next(before.Mix, delta.MemoryReads, delta.MemoryWrites)
                : classifier.Next(before.Mix, delta.ReadFaults, delta.WriteFaults);
            next[id] = (total, mix);
            var hinted = hints.TryGetValue(id, out var hint) && hint != MemoryIntent.Unknown;
            activity.Add(new CgroupActivity(id, path, total, delta, hinted ? hint : mix.Class, hinted, mix.ReadShare));
        }

        _known = next;
        gone = vanished;
        return activity;
    }

    private static CgroupCounters Difference(in CgroupCounters now, in CgroupCounters before) => new()
    {
        RunNs = now.RunNs - before.RunNs,
        Switches = now.Switches - before.Switches,
        Wakeups = now.Wakeups - before.Wakeups,
        Migrations = now.Migrations - before.Migrations,
        ReadFaults = now.ReadFaults - before.ReadFaults,
        WriteFaults = now.WriteFaults - before.WriteFaults,
        MemoryReads = now.MemoryReads - before.MemoryReads,
        MemoryWrites = now.MemoryWrites - before.MemoryWrites,
        Bursts = now.Bursts - before.Bursts,
    };
}
