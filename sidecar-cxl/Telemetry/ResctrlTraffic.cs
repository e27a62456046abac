using System.Globalization;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Cxl.Telemetry;

/// <summary>
/// Memory bandwidth monitoring through a mounted resctrl: bytes to the node's own memory and to other nodes', by monitoring
/// group. It does not tell reads from writes. Groups are only read, never made: their number is a scarce thing of the
/// hardware that others share.
/// </summary>
internal sealed class ResctrlTraffic : ITrafficMeter
{
    private const string Counters = "mon_data";
    private const string Total = "mbm_total_bytes";
    private const string Local = "mbm_local_bytes";

    // Directories of resctrl that are no groups.
    private static readonly string[] NoGroups = [Counters, "mon_groups", "info"];

    private readonly string _root;
    private readonly bool _hasLocal;
    private readonly Dictionary<string, ulong> _last = [];
    private double _total;
    private double _local;

    private ResctrlTraffic(string root, bool hasLocal)
    {
        (_root, _hasLocal) = (root, hasLocal);
        // What was carried before counts for nothing.
        Read();
        (_total, _local) = (0, 0);
    }

    /// <inheritdoc/>
    public TelemetrySource Source => TelemetrySource.Resctrl;

    /// <inheritdoc/>
    public string Message => $"memory bandwidth monitoring of {Groups().Count()} groups ({_root}); reads and writes are not told apart";

    /// <inheritdoc/>
    public string? Failure { get; private set; }

    /// <summary>Opens a mounted resctrl; null where it is not mounted or does not measure bandwidth, and why.</summary>
    public static (ResctrlTraffic? Meter, string Why) Open(string root)
    {
        var features = Path.Combine(root, "info/L3_MON/mon_features");
        if (!Directory.Exists(Path.Combine(root, "info")))
            return (null, $"resctrl is not mounted (mount -t resctrl resctrl {root})");
        if (!File.Exists(features))
            return (null, $"the processors do not monitor bandwidth: {features} is missing");
        var names = File.ReadAllLines(features);
        return names.Contains(Total)
            ? (new ResctrlTraffic(root, names.Contains(Local)), "")
            : (null, $"the processors do not monitor bandwidth: {features} has no {Total}");
    }

    /// <inheritdoc/>
    public IReadOnlyList<TrafficCount> Read()
    {
        Failure = null;
        var seen = new HashSet<string>();
        foreach (var group in Groups())
        {
            _total += Grown(group, Total, seen);
            _local += _hasLocal ? Grown(group, Local, seen) : 0;
        }

        // A group that was removed takes its counters along; one of the same name starts again.
        foreach (var gone in _last.Keys.Where(key => !seen.Contains(key)).ToList())
            _last.Remove(gone);
        return _hasLocal
            ? [new TrafficCount("local", "both", _local), new TrafficCount("remote", "both", Math.Max(0, _total - _local))]
            : [new TrafficCount("memory", "both", _total)];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    /// <summary>Control groups, the default one first. Their counters include those of their monitoring groups.</summary>
    private IEnumerable<string> Groups() => Directory.EnumerateDirectories(_root)
        .Where(group => !NoGroups.Contains(Path.GetFileName(group)) && Directory.Exists(Path.Combine(group, Counters)))
        .Prepend(_root);

    /// <summary>What a group's counter grew by, over all domains, since it was read last.</summary>
    private double Grown(string group, string counter, HashSet<string> seen)
    {
        double grown = 0;
        try
        {
            foreach (var domain in Directory.EnumerateDirectories(Path.Combine(group, Counters), "mon_L3_*"))
            {
                var file = Path.Combine(domain, counter);
                seen.Add(file);
                var text = File.ReadAllText(file).Trim();
                if (!ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value))
                {
                    // The hardware has no counter to spare for the group (Unavailable, Unassigned), or failed (Error).
                    Failure = $"{file}: {text}: its traffic is missing from the sum";
                    continue;
                }

                if (_last.TryGetValue(file, out var before) && value > before)
                    grown += value - before;
                else if (!_last.ContainsKey(file))
                    grown += value;
                _last[file] = value;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // The group has gone while it was being read, or may not be read.
            Failure = $"{group}: {error.Message}";
        }

        return grown;
    }
}
