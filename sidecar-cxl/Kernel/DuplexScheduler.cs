using System.Runtime.InteropServices;

namespace Moebius.Cxl.Kernel;

/// <summary>Why the kernel took the scheduler out, in its own words.</summary>
/// <param name="Kind">The kernel's scx_exit_kind: 64 to 1023 were asked for, 1024 and above are errors.</param>
/// <param name="Code">The program's own code; 0 if it gave none.</param>
/// <param name="Reason">The kernel's name for the kind, as in "runnable task stall".</param>
/// <param name="Message">Details; empty if there are none.</param>
internal sealed record SchedulerExit(ulong Kind, long Code, string Reason, string Message)
{
    /// <summary>The reason with its details.</summary>
    public override string ToString() => Message.Length > 0 ? $"{Reason}: {Message}" : Reason;
}

/// <summary>
/// duplex.bpf.c in the kernel. Disposing gives the tasks back to the kernel's own scheduler; so does the kernel, if the
/// process dies. Not for concurrent use.
/// </summary>
internal sealed class DuplexScheduler : IDisposable
{
    /// <summary>The name that the kernel shows for the scheduler.</summary>
    public const string KernelName = "moebius_duplex";

    /// <summary>The first libbpf that knows how to attach it.</summary>
    public static readonly Version MinimumLibrary = new(1, 4);

    private const string Operations = "duplex";
    private readonly BpfObject _program;
    private readonly BpfMap _parameters;
    private readonly BpfMap _hints;
    private readonly BpfMap _counters;
    private readonly BpfMap _exits;
    private readonly DuplexCounters[] _slots = new DuplexCounters[BpfMap.PossibleCpus];
    private BpfLink? _link;

    private DuplexScheduler(BpfObject program)
    {
        _program = program;
        _parameters = program.Map("parameters");
        _hints = program.Map("hints");
        _counters = program.Map("counters");
        _exits = program.Map("exits");
    }

    /// <summary>The exit that the kernel reported; null while the scheduler runs.</summary>
    public unsafe SchedulerExit? Exit
    {
        get
        {
            _exits.TryRead(0u, out ExitRecord record);
            return record.Kind == 0 ? null : new SchedulerExit(record.Kind, record.Code, Text(record.Reason), Text(record.Message));

            static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text)!;
        }
    }

    /// <summary>The compiled program; null when the build had no clang.</summary>
    public static byte[]? EmbeddedObject() => BpfObject.Embedded("duplex");

    /// <summary>Loads the program and puts every task of the machine under it.</summary>
    /// <param name="objectBytes">The compiled program.</param>
    /// <param name="cgroupV1">Cgroup ids come from the v1 cpu hierarchy.</param>
    /// <param name="initial">The first parameters.</param>
    /// <param name="lanes">By CPU, the direction whose tasks it prefers.</param>
    /// <exception cref="BpfException">The kernel refused; carries the verifier's log. EBUSY: another scheduler is loaded.</exception>
    /// <exception cref="DllNotFoundException">libbpf.so.1 is not installed.</exception>
    public static DuplexScheduler Load(byte[] objectBytes, bool cgroupV1, in DuplexParameters initial, IReadOnlyDictionary<int, DuplexClass> lanes)
    {
        var program = BpfObject.Open(objectBytes, "duplex");
        try
        {
            program.SetConstants(".settings", new DuplexSettings { UseCgroupV1 = cgroupV1 ? 1u : 0 });
            program.Load();
            var scheduler = new DuplexScheduler(program);
            scheduler.SetParameters(initial);
            var laneMap = program.Map("lanes");
            foreach (var (cpu, lane) in lanes)
                laneMap.Write((uint)cpu, (uint)lane);
            scheduler._link = program.AttachOperations(Operations);
            return scheduler;
        }
        catch
        {
            program.Dispose();
            throw;
        }
    }

    /// <summary>Lets the kernel check the program, and leaves nothing there.</summary>
    /// <exception cref="BpfException">The kernel refused; carries the verifier's log.</exception>
    /// <exception cref="DllNotFoundException">libbpf.so.1 is not installed.</exception>
    public static void Check(byte[] objectBytes)
    {
        using var program = BpfObject.Open(objectBytes, "duplex");
        program.Load();
    }

    /// <summary>Changes the parameters; they hold from the next pick on.</summary>
    public void SetParameters(in DuplexParameters value) => _parameters.Write(0u, value);

    /// <summary>Puts the tasks of a cgroup into a class; they change queue the next time they wait.</summary>
    public void SetHint(ulong cgroup, DuplexClass value) => _hints.Write(cgroup, (uint)value);

    /// <summary>Takes a cgroup's class away.</summary>
    public void RemoveHint(ulong cgroup) => _hints.Remove(cgroup);

    /// <summary>The hints in the kernel.</summary>
    public IReadOnlyList<ulong> Hints() => _hints.Keys<ulong>();

    /// <summary>The counters of a class, over all CPUs.</summary>
    public DuplexCounters Read(DuplexClass value)
    {
        _counters.TryReadPerCpu((uint)value, _slots.AsSpan());
        DuplexCounters sum = default;
        foreach (ref readonly var slot in _slots.AsSpan())
            sum.Add(slot);
        return sum;
    }

    /// <summary>Asks a build with faults to commit one: see MOEBIUS_FAULTS in bpf/duplex.bpf.c.</summary>
    internal void Inject(uint fault) => _program.Map("faults").Write(0u, fault);

    /// <inheritdoc/>
    public void Dispose()
    {
        _link?.Dispose();
        _link = null;
        _program.Dispose();
    }
}
