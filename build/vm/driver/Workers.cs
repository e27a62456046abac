using System.Diagnostics;
using System.Runtime.InteropServices;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>The processes that the checks watch.</summary>
internal static partial class Workers
{
    private const int CapSysNice = 23;
    private const int CapPerfmon = 38;
    private const int CapBpf = 39;

    public const string CgroupRoot = "/sys/fs/cgroup";

    private static readonly string Self = Environment.ProcessPath!;

    /// <summary>Loads the scheduler as an agent does, says so, and stays until killed.</summary>
    public static int Hold()
    {
        using var scheduler = DuplexScheduler.Load(DuplexScheduler.EmbeddedObject()!, false, Parameters(MemoryStrategy.DuplexPair), Lanes());
        Console.WriteLine("loaded");
        Thread.Sleep(Timeout.Infinite);
        return 0;
    }

    /// <summary>Sleeps and works in turn, as a service does that must answer quickly.</summary>
    public static int Wake(string cgroup)
    {
        File.WriteAllText(Path.Combine(cgroup, "cgroup.procs"), $"{Environment.ProcessId}");
        while (true)
        {
            Thread.Sleep(3);
            Thread.SpinWait(1000);
        }
    }

    /// <summary>Reads some fresh pages and writes others: one page fault each.</summary>
    public static unsafe int Touch(string cgroup, int reads, int writes)
    {
        const int NoHugePages = 15;
        const int Page = 4096;
        File.WriteAllText(Path.Combine(cgroup, "cgroup.procs"), $"{Environment.ProcessId}");
        var size = (nuint)(reads + writes + 1) * Page;
        var memory = (byte*)NativeMemory.AlignedAlloc(size, Page);
        if (madvise(memory, size, NoHugePages) != 0)
            return 1;
        var sum = 0;
        for (var i = 0; i < reads; i++)
            sum += Volatile.Read(ref memory[(nuint)i * Page]);
        for (var i = reads; i < reads + writes; i++)
            memory[(nuint)i * Page] = 1;
        return sum;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int madvise(void* address, nuint length, int advice);

    /// <summary>
    /// Runs the agent as root with three capabilities: all that a kernel asks for.
    /// </summary>
    public static int Limited()
    {
        const int DropFromBoundingSet = 24;
        const int LastCapability = 40;
        int[] kept = [CapSysNice, CapPerfmon, CapBpf];
        for (var capability = 0; capability <= LastCapability; capability++)
        {
            if (!kept.Contains(capability) && prctl(DropFromBoundingSet, (nuint)capability, 0, 0, 0) != 0)
                return 2;
        }

        // Only the next program that is started is bound by it.
        using var agent = Again("agent");
        Console.Write(agent.StandardOutput.ReadToEnd());
        agent.WaitForExit();
        return agent.ExitCode;
    }

    /// <summary>Runs the agent for a moment and prints what it reached.</summary>
    public static int Agent()
    {
        using var agent = AgentChecks.StartAgent();
        for (var i = 0; i < 100 && agent.Status.Duplex?.Loaded != true; i++)
        {
            Thread.Sleep(300);
            agent.Tick();
        }

        var status = agent.Status;
        Console.WriteLine($"{status.Level}, scheduler {status.Duplex?.Reason}, observer {status.Observer.Reason} {status.Observer.Message}, {status.Message}, capabilities {HostKernel.Read("/sys", "/proc").Capabilities:x}");
        return status is { Level: SchedulingLevel.SchedExt, Observer.Loaded: true, Duplex.Loaded: true } ? 0 : 1;
    }

    public static DuplexParameters Parameters(MemoryStrategy strategy, DirectionLoad load = default) =>
        DuplexPlanner.Plan(strategy, new MemoryPolicySpec(), load, Environment.ProcessorCount, new DuplexParameters { Limited = DuplexParameters.NoClass });

    public static Dictionary<int, DuplexClass> Lanes() => DuplexPlanner.Lanes([[.. Enumerable.Range(0, Environment.ProcessorCount)]], 50);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, nuint second, nuint third, nuint fourth, nuint fifth);

    /// <summary>Gives a cgroup an extended attribute.</summary>
    public static void SetAttribute(string path, string name, string value)
    {
        if (setxattr(path, name, value, (nuint)value.Length, 0) != 0)
            throw new IOException($"{path}: {name} cannot be set: errno {Marshal.GetLastPInvokeError()}");
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int setxattr(string path, string name, string value, nuint size, int flags);

    /// <summary>Starts this program again.</summary>
    public static Process Again(params string[] arguments) =>
        Process.Start(new ProcessStartInfo(Self, arguments) { RedirectStandardOutput = true })!;

    public static void Kill(this IEnumerable<Process> processes)
    {
        foreach (var process in processes)
        {
            process.Kill();
            process.WaitForExit();
            process.Dispose();
        }
    }
}

/// <summary>A cgroup with processes that never sleep.</summary>
internal sealed class BusyCgroup : IDisposable
{
    private readonly List<Process> _processes = [];
    private readonly string? _gate;

    public BusyCgroup(string name, int busy, bool open = true, string? intent = null)
    {
        Root = Path.Combine(Workers.CgroupRoot, name);
        Directory.CreateDirectory(Root);
        if (intent is not null)
            Workers.SetAttribute(Root, Hints.HintResolver.Attribute, intent);
        Id = Telemetry.CgroupHierarchy.Id(Root)!.Value;
        if (busy == 0)
            return;
        // One shell forks them all, and they wait at a pipe: who runs slows down the start of the others.
        _gate = $"/tmp/{name}.gate";
        _processes.Add(Process.Start(new ProcessStartInfo("/bin/sh", ["-c",
            $"echo $$ > {Root}/cgroup.procs; mkfifo {_gate}; i=0; while [ $i -lt {busy} ]; do (read x < {_gate}; while :; do :; done) & i=$((i+1)); done; wait"]))!);
        while (File.ReadAllLines(Path.Combine(Root, "cgroup.procs")).Length <= busy)
            Thread.Sleep(20);
        if (open)
            Open();
    }

    /// <summary>Lets them run.</summary>
    public void Open()
    {
        using var shell = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $": > {_gate}; rm {_gate}"]))!;
        shell.WaitForExit();
    }

    public string Root { get; }

    public ulong Id { get; }

    public void Add(Process process) => _processes.Add(process);

    public void Dispose()
    {
        File.WriteAllText(Path.Combine(Root, "cgroup.kill"), "1");
        _processes.Kill();
        for (var i = 0; i < 50 && Directory.Exists(Root); i++)
        {
            try
            {
                Directory.Delete(Root);
            }
            catch (IOException)
            {
                Thread.Sleep(20);
            }
        }
    }
}
