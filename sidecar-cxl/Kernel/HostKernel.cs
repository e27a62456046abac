using System.Globalization;
using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>What the running kernel and this process's rights allow, as far as files say.</summary>
internal sealed record HostKernel
{
    private const int CapSysAdmin = 21;
    private const int CapPerfmon = 38;
    private const int CapBpf = 39;

    /// <summary>The kernel's release, as in <c>6.12.5-amd64</c>.</summary>
    public required string Release { get; init; }

    /// <summary>The kernel describes its own types (needed for CO-RE).</summary>
    public required bool HasBtf { get; init; }

    /// <summary>The effective capabilities of this process, one bit each.</summary>
    public required ulong Capabilities { get; init; }

    /// <summary>The lockdown mode: none, integrity or confidentiality.</summary>
    public required string Lockdown { get; init; }

    /// <summary>The process is in a PID namespace of its own, so that a walk over tasks misses those outside.</summary>
    public bool SeesOwnTasksOnly { get; init; }

    /// <summary>The state of the sched_ext class (disabled, enabling, enabled, disabling); null if the kernel has none.</summary>
    public required string? SchedExtState { get; init; }

    /// <summary>The name of the sched_ext scheduler that is loaded, by whomever; null if none.</summary>
    public required string? SchedExtScheduler { get; init; }

    /// <summary>True when the process may load tracing programs.</summary>
    public bool MayLoadPrograms => Has(CapSysAdmin) || (Has(CapBpf) && Has(CapPerfmon));

    /// <summary>The capabilities missing for loading tracing programs, for messages.</summary>
    public string MissingCapabilities => string.Join(", ", new[] { (CapBpf, "CAP_BPF"), (CapPerfmon, "CAP_PERFMON") }.Where(capability => !Has(capability.Item1)).Select(capability => capability.Item2));

    /// <summary>Reads the facts. <paramref name="sysfs"/> is /sys or a tree like it; <paramref name="procfs"/> likewise.</summary>
    public static HostKernel Read(string sysfs, string procfs)
    {
        var state = Text(Path.Combine(sysfs, "kernel/sched_ext/state"));
        return new HostKernel
        {
            Release = Text(Path.Combine(procfs, "sys/kernel/osrelease")) ?? RuntimeInformation.OSDescription,
            HasBtf = File.Exists(Path.Combine(sysfs, "kernel/btf/vmlinux")),
            Capabilities = ParseCapabilities(Text(Path.Combine(procfs, "self/status"))),
            Lockdown = ParseLockdown(Text(Path.Combine(sysfs, "kernel/security/lockdown"))),
            // The first namespace's number is a constant of the kernel (PROC_PID_INIT_INO).
            SeesOwnTasksOnly = new FileInfo(Path.Combine(procfs, "self/ns/pid")).LinkTarget is { } link && link != "pid:[4026531836]",
            SchedExtState = state,
            SchedExtScheduler = state is null or "disabled" ? null : Text(Path.Combine(sysfs, "kernel/sched_ext/root/ops")),
        };
    }

    /// <summary>The chosen mode of <c>none [integrity] confidentiality</c>; "none" where the kernel has no lockdown.</summary>
    internal static string ParseLockdown(string? text) =>
        text?.Split('[', ']') is [_, var chosen, ..] ? chosen : "none";

    /// <summary>The CapEff line of /proc/PID/status.</summary>
    internal static ulong ParseCapabilities(string? status)
    {
        const string Field = "CapEff:";
        var line = status?.Split('\n').FirstOrDefault(line => line.StartsWith(Field, StringComparison.Ordinal));
        return line is not null && ulong.TryParse(line.AsSpan(Field.Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var bits) ? bits : 0;
    }

    private bool Has(int capability) => (Capabilities & (1UL << capability)) != 0;

    private static string? Text(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
