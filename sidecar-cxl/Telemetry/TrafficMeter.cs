using Moebius.Crds.V1Alpha1;

namespace Moebius.Cxl.Telemetry;

/// <summary>Bytes that memory has carried since the meter was opened.</summary>
/// <param name="Link">cxl, or local and remote as seen from the processors; memory where the machine does not tell them apart.</param>
/// <param name="Direction">read or write; both where the machine does not tell them apart.</param>
/// <param name="Bytes">Only grows.</param>
internal readonly record struct TrafficCount(string Link, string Direction, double Bytes);

/// <summary>Measures what the whole machine's memory carries. Not for concurrent use.</summary>
internal interface ITrafficMeter : IDisposable
{
    /// <summary>Where the figures come from.</summary>
    TelemetrySource Source { get; }

    /// <summary>What is counted, for people.</summary>
    string Message { get; }

    /// <summary>What is wrong with the last reading; null if nothing is.</summary>
    string? Failure { get; }

    /// <summary>The counts up to now. What cannot be read keeps its last value, and <see cref="Failure"/> says so.</summary>
    IReadOnlyList<TrafficCount> Read();
}

/// <summary>Opens the best meter that the machine has.</summary>
internal static class TrafficMeter
{
    /// <summary>A meter, or null; and why it is none better.</summary>
    /// <param name="wanted">What the profile asks for.</param>
    /// <param name="sysfs">Where sysfs is mounted.</param>
    public static (ITrafficMeter? Meter, string Why) Open(TelemetrySource wanted, string sysfs)
    {
        var reasons = new List<string>();
        if (wanted is TelemetrySource.Auto or TelemetrySource.PerfEvents)
        {
            var (uncore, why) = UncoreTraffic.Open(sysfs);
            if (uncore is not null)
                return (uncore, uncore.Message);
            reasons.Add(why);
        }

        if (wanted is TelemetrySource.Auto or TelemetrySource.Resctrl)
        {
            var (resctrl, why) = ResctrlTraffic.Open(Path.Combine(sysfs, "fs/resctrl"));
            if (resctrl is not null)
                return (resctrl, resctrl.Message);
            reasons.Add(why);
        }

        return (null, reasons.Count > 0 ? string.Join("; ", reasons) : $"telemetry.source {wanted} measures no traffic");
    }
}
