using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.Agent;

/// <summary>What came of loading the observer.</summary>
/// <param name="Observer">The observer; null if it could not be loaded.</param>
/// <param name="Reason">Loaded, or why not, as a constant.</param>
/// <param name="Message">What a person can act on.</param>
/// <param name="Log">The verifier's log, if the kernel rejected the program.</param>
/// <param name="Source">Where read and write counts come from; null without an observer.</param>
/// <param name="SourceMessage">Why this source.</param>
internal sealed record ObserverLoad(Observer? Observer, string Reason, string Message, string? Log, TelemetrySource? Source, string SourceMessage);

/// <summary>Loads the observer with the best telemetry the machine has, and turns every failure into a reason.</summary>
internal static class ObserverLoader
{
    /// <summary>Loads, or says why not. Never throws for what a kernel or a container may lack.</summary>
    public static ObserverLoad Load(HostKernel kernel, TelemetrySource wanted, ObserverOptions options, byte[]? objectBytes)
    {
        if (Obstacle(kernel, objectBytes is not null) is var (reason, message))
            return Failed(reason, message);
        try
        {
            return Load(wanted, options, objectBytes!);
        }
        catch (Exception error) when (BpfRefusal.Of(error, rejected: "ProgramRejected", failed: "LoadFailed") is { } refusal)
        {
            return Failed(refusal.Reason, refusal.Message, refusal.Log);
        }
    }

    /// <summary>What rules loading out before it is tried; null if nothing does.</summary>
    internal static (string Reason, string Message)? Obstacle(HostKernel kernel, bool hasObject)
    {
        if (!hasObject)
            return ("BPFObjectMissing", "this build has no eBPF programs: clang was missing when it was built");
        if (!kernel.HasBtf)
            return ("BtfMissing", $"the kernel {kernel.Release} has no BTF (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF)");
        if (!kernel.MayLoadPrograms)
            return ("CapabilityMissing", $"the process lacks {kernel.MissingCapabilities} (or CAP_SYS_ADMIN)");
        if (kernel.Lockdown == "confidentiality")
            return ("KernelLockdown", "the kernel is locked down (confidentiality): programs may not read its memory");
        return null;
    }

    private static ObserverLoad Failed(string reason, string message, string? log = null) => new(null, reason, message, log, null, "no observer");

    private static ObserverLoad Load(TelemetrySource wanted, ObserverOptions options, byte[] objectBytes)
    {
        var why = wanted switch
        {
            TelemetrySource.Bpf => "asked for by telemetry.source",
            TelemetrySource.Resctrl => "resctrl tells how much was carried, not in which direction",
            TelemetrySource.Damon => "DAMON tells which pages were touched, not whether they were read or written",
            _ => "",
        };
        if (wanted is TelemetrySource.Auto or TelemetrySource.PerfEvents)
        {
            try
            {
                var observer = Observer.Load(objectBytes, options with { PerfEvents = (PerfEvent.MemoryReads, PerfEvent.MemoryWrites) });
                return new ObserverLoad(observer, "Loaded", Describe(observer), null, TelemetrySource.PerfEvents, "last-level cache misses of loads and stores, sampled");
            }
            catch (BpfException error) when (error.Message.Contains("perf event", StringComparison.Ordinal))
            {
                why = $"no perf events for memory reads and writes: {error.Message}";
            }
        }

        var estimator = Observer.Load(objectBytes, options with { PerfEvents = null });
        return new ObserverLoad(estimator, "Loaded", Describe(estimator), null, TelemetrySource.Bpf, $"estimated from the direction of page faults ({why})");
    }

    private static string Describe(Observer observer) =>
        $"libbpf {BpfObject.LibraryVersion}{(observer.CountsFaults ? "" : ", without page faults: the kernel has no tracepoint for them")}";
}
