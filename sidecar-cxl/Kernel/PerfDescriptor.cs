using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>Opens perf events of a whole CPU, and of what counts beside the CPUs.</summary>
internal static unsafe class PerfDescriptor
{
    private const nint PerfEventOpenX64 = 298;
    private const nint PerfEventOpenArm64 = 241;
    private const nint FlagCloseOnExec = 8;

    /// <summary>A descriptor of the event on a CPU, whatever runs there. A period of 0 only counts.</summary>
    /// <exception cref="BpfException">The event does not exist on this machine (ENOENT, EOPNOTSUPP) or is not allowed.</exception>
    public static int Open(PerfEvent perfEvent, int cpu, ulong flags)
    {
        // perf_event_attr, first published size.
        var attributes = new PerfEventAttributes { Type = perfEvent.Type, Size = (uint)sizeof(PerfEventAttributes), Config = perfEvent.Config, SamplePeriod = perfEvent.Period, Flags = flags };
        var number = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? PerfEventOpenArm64 : PerfEventOpenX64;
        var descriptor = LibC.syscall(number, &attributes, -1, cpu, -1, FlagCloseOnExec, 0);
        return descriptor >= 0
            ? (int)descriptor
            : throw new BpfException($"opening the perf event {perfEvent.Type}:{perfEvent.Config:x} on CPU {cpu}", Marshal.GetLastPInvokeError());
    }

    [StructLayout(LayoutKind.Sequential, Size = 64)]
    private struct PerfEventAttributes
    {
        public uint Type;
        public uint Size;
        public ulong Config;
        public ulong SamplePeriod;
        public ulong SampleType;
        public ulong ReadFormat;
        public ulong Flags;
    }
}
