using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Agent;

/// <summary>The state of the duplex scheduler.</summary>
/// <param name="Loaded">It schedules this machine now.</param>
/// <param name="Reason">Loaded, or why not, as a constant.</param>
/// <param name="Message">What a person can act on.</param>
/// <param name="Log">The verifier's log, if the kernel rejected the program.</param>
internal sealed record SchedulerState(bool Loaded, string Reason, string Message, string? Log = null)
{
    /// <summary>What users of the machine have to know while the scheduler is loaded.</summary>
    public const string LoadedCost = "until it goes, CPU weights and limits of cgroups (requests and limits of pods) do not count";

    /// <summary>The kernel takes the program, and there is nothing to schedule at present.</summary>
    public static SchedulerState StandingBy { get; } = new(false, "StandingBy", "the duplex scheduler waits: no reader and writer run beside each other, and no latency task beside bulk work");

    /// <summary>There would be something to schedule, and the limits of cgroups go before that.</summary>
    public static SchedulerState Yielding(int limited) => new(false, CpuLimits, $"the duplex scheduler waits: {limited} cgroups have a CPU limit, which holds under the kernel's own scheduler only; write policy.cpuLimits: Ignore to have it all the same");

    /// <summary>It should be there and is not.</summary>
    public bool Failed => !Loaded && this != StandingBy && Reason != CpuLimits;

    /// <summary>The reason for leaving the machine to the kernel's scheduler because of CPU limits.</summary>
    public const string CpuLimits = "CpuLimitsInForce";
}

/// <summary>
/// Keeps the duplex scheduler in the kernel while there is something to schedule: loads it, applies hints and strategy,
/// notices when the kernel has taken it out, and tries again with growing pauses. Not for concurrent use.
/// </summary>
internal sealed class SchedulerKeeper : IDisposable
{
    private static readonly DuplexClass[] Classes = Enum.GetValues<DuplexClass>();

    private readonly byte[] _program;
    private readonly NodeAgentConfig _config;
    private readonly bool _cgroupV1;
    private readonly string _sysfs;
    private readonly string _procfs;
    private readonly Dictionary<int, DuplexClass> _lanes;
    private readonly TimeProvider _clock;
    private readonly RetryBackoff _backoff = new();
    private readonly Engagement _engagement = new();
    private readonly AutoSelector? _auto;
    private readonly Dictionary<ulong, DuplexClass> _applied = [];
    private readonly DuplexCounters[] _last = new DuplexCounters[Classes.Length];
    private readonly int _cpus;
    private DuplexScheduler? _scheduler;
    private DuplexParameters _parameters;
    private TimeSpan _lastTick;

    /// <summary>Has the kernel check the program, and stands by; or says in <see cref="State"/> why not.</summary>
    /// <param name="program">The compiled program.</param>
    /// <param name="config">The profile's settings.</param>
    /// <param name="links">CPUs by the link that they share.</param>
    /// <param name="cgroupV1">Cgroup ids come from the v1 cpu hierarchy.</param>
    /// <param name="sysfs">Where sysfs is mounted.</param>
    /// <param name="procfs">Where procfs is mounted.</param>
    /// <param name="measured">Memory traffic is measured, so that Auto can compare strategies.</param>
    /// <param name="clock">The time.</param>
    public SchedulerKeeper(byte[] program, NodeAgentConfig config, IReadOnlyList<IReadOnlyList<int>> links, bool cgroupV1, string sysfs, string procfs, bool measured, TimeProvider clock)
    {
        (_program, _config, _cgroupV1, _sysfs, _procfs, _clock) = (program, config, cgroupV1, sysfs, procfs, clock);
        _lanes = DuplexPlanner.Lanes(links, config.Policy.TargetReadPercent);
        _cpus = links.Sum(link => link.Count);
        if (config.Policy.Strategy == MemoryStrategy.Auto && measured)
            _auto = new AutoSelector([MemoryStrategy.DuplexPair, MemoryStrategy.DuplexToken, MemoryStrategy.LatencyGuard], trialWindows: 5, settleWindows: 1);
        StrategyReason = config.Policy.Strategy != MemoryStrategy.Auto
            ? "policy.strategy"
            : "policy.strategy Auto: memory traffic is not measured on this node, so no strategy can be compared with another";
        State = LoadOrReason(attach: false) is { } obstacle ? Failed(obstacle) : SchedulerState.StandingBy;
    }

    /// <summary>Whether the scheduler is loaded, and if not why.</summary>
    public SchedulerState State { get; private set; }

    /// <summary>The last exit that the kernel reported; null if there was none.</summary>
    public SchedulerExit? LastExit { get; private set; }

    /// <summary>Times the scheduler failed or could not be loaded, until it has run for ten minutes or an hour has passed without another.</summary>
    public int Failures => _backoff.Failures;

    /// <summary>The earliest moment of the next attempt after a failure.</summary>
    public DateTimeOffset NextAttempt { get; private set; }

    /// <summary>The strategy in force.</summary>
    public MemoryStrategy Strategy => _auto?.Current ?? (_config.Policy.Strategy == MemoryStrategy.Auto ? MemoryStrategy.DuplexPair : _config.Policy.Strategy);

    /// <summary>Why this strategy.</summary>
    public string StrategyReason { get => _auto?.Reason ?? field; }

    /// <summary>The parameters in force.</summary>
    public DuplexParameters Parameters => _parameters;

    /// <summary>Counters by class as of the last tick.</summary>
    public IReadOnlyDictionary<DuplexClass, DuplexCounters> Counters => Classes.ToDictionary(value => value, value => _last[(int)value]);

    /// <summary>The cgroups with a class in the kernel.</summary>
    internal IReadOnlyList<ulong> HintsInKernel => _scheduler?.Hints() ?? [];

    /// <summary>Since some moment in the past; whoever sets the wall clock neither stops attempts nor stretches a window.</summary>
    private TimeSpan Now => _clock.GetElapsedTime(0);

    /// <inheritdoc cref="DuplexScheduler.Inject"/>
    internal void Inject(uint fault) => _scheduler!.Inject(fault);

    /// <summary>
    /// Looks after the scheduler. <paramref name="intents"/> are the cgroups that have a class, hinted or by their own
    /// mix; whoever is no longer there loses it. <paramref name="loads"/> is what the classes ran since the last tick,
    /// <paramref name="traffic"/> what memory carries, by any measure that stays the same, <paramref name="limited"/> counts
    /// the cgroups with a CPU limit that is to be honoured; it is asked only while there is something to schedule.
    /// </summary>
    /// <exception cref="BpfException">A map could not be read or written.</exception>
    public void Tick(IReadOnlyDictionary<ulong, MemoryIntent> intents, ClassLoads loads, double traffic, Func<int>? limited = null)
    {
        var now = Now;
        var engaged = _engagement.Next(loads);
        if (_scheduler?.Exit is { } exit)
        {
            LastExit = exit;
            Unload();
            CountFailure(isTaken: false);
            State = new SchedulerState(false, LevelPlanner.SchedulerExited, $"the kernel took the scheduler out: {exit}; next attempt at {NextAttempt:HH:mm:ss} UTC");
        }

        var yields = engaged ? limited?.Invoke() ?? 0 : 0;
        engaged &= yields == 0;
        if (!engaged && _scheduler is not null)
        {
            Unload();
            _backoff.Stopped(now);
        }

        if (!engaged && !State.Failed)
            State = yields > 0 ? SchedulerState.Yielding(yields) : SchedulerState.StandingBy;

        _backoff.Settle(now);

        if (_scheduler is null)
        {
            if (now < _backoff.Next || (!engaged && !State.Failed))
                return;
            State = TryLoad(engaged);
            if (_scheduler is null)
                return;
        }

        ApplyHints(intents);
        var load = Measure(now);
        _auto?.Measured(traffic);
        var next = DuplexPlanner.Plan(Strategy, _config.Policy, load, _cpus, _parameters);
        if (next != _parameters)
            _scheduler.SetParameters(_parameters = next);
    }

    /// <inheritdoc/>
    public void Dispose() => Unload();

    /// <summary>What the agent asks of cgroups: hints for all that exist, and the classes of those without one.</summary>
    public static Dictionary<ulong, MemoryIntent> Intents(IReadOnlyDictionary<ulong, MemoryIntent> hints, IEnumerable<CgroupActivity> activity)
    {
        var intents = new Dictionary<ulong, MemoryIntent>(hints);
        foreach (var cgroup in activity)
            intents.TryAdd(cgroup.Id, cgroup.Intent);
        return intents;
    }

    /// <summary>
    /// What the classes ran in a window. Where nothing is counted (<paramref name="activity"/> is null), a class with a hint
    /// is taken to run.
    /// </summary>
    public static ClassLoads Loads(IReadOnlyDictionary<ulong, MemoryIntent> hints, IReadOnlyList<CgroupActivity>? activity, TimeSpan window)
    {
        return new ClassLoads(Of(MemoryIntent.ReadHeavy), Of(MemoryIntent.WriteHeavy), Of(MemoryIntent.Latency));

        double Of(MemoryIntent intent) => activity is null
            ? hints.Values.Contains(intent) ? 1 : 0
            : activity.Where(cgroup => cgroup.Intent == intent).Sum(cgroup => (double)cgroup.Delta.RunNs) / Math.Max(window.TotalNanoseconds, 1);
    }

    private void ApplyHints(IReadOnlyDictionary<ulong, MemoryIntent> intents)
    {
        foreach (var (id, intent) in intents)
        {
            if (DuplexPlanner.ClassOf(intent) is not { } wanted || (_applied.TryGetValue(id, out var before) && before == wanted))
                continue;
            _scheduler!.SetHint(id, wanted);
            _applied[id] = wanted;
        }

        foreach (var id in _applied.Keys.Where(id => !intents.TryGetValue(id, out var intent) || DuplexPlanner.ClassOf(intent) is null).ToList())
        {
            _scheduler!.RemoveHint(id);
            _applied.Remove(id);
        }
    }

    private DirectionLoad Measure(TimeSpan now)
    {
        var window = Math.Max((now - _lastTick).TotalNanoseconds, 1);
        Span<double> load = stackalloc double[Classes.Length];
        foreach (var value in Classes)
        {
            var counters = _scheduler!.Read(value);
            load[(int)value] = (counters.RunNs - _last[(int)value].RunNs) / window;
            _last[(int)value] = counters;
        }

        _lastTick = now;
        return new DirectionLoad(load[(int)DuplexClass.Read], load[(int)DuplexClass.Write]);
    }

    private SchedulerState TryLoad(bool attach)
    {
        if (LoadOrReason(attach) is { } failure)
            return Failed(failure);
        _lastTick = Now;
        if (!attach)
            return SchedulerState.StandingBy;
        _backoff.Started(_lastTick);
        return new SchedulerState(true, "Loaded", $"the kernel runs {DuplexScheduler.KernelName}, libbpf {BpfObject.LibraryVersion}; {SchedulerState.LoadedCost}");
    }

    private SchedulerState Failed(SchedulerState failure)
    {
        CountFailure(failure.Reason == LevelPlanner.OtherScheduler);
        return failure;
    }

    private void CountFailure(bool isTaken)
    {
        var now = Now;
        if (isTaken)
            _backoff.Taken(now);
        else
            _backoff.Failed(now);
        NextAttempt = _clock.GetUtcNow() + (_backoff.Next - now);
    }

    /// <summary>Has the kernel check the program, and puts it to work if asked to; null if it did.</summary>
    private SchedulerState? LoadOrReason(bool attach)
    {
        if (HostKernel.Read(_sysfs, _procfs).SchedExtScheduler is { } other)
            return new SchedulerState(false, LevelPlanner.OtherScheduler, $"the sched_ext scheduler '{other}' is loaded already; there is one per machine");
        try
        {
            if (BpfObject.LibraryVersion < DuplexScheduler.MinimumLibrary)
                return new SchedulerState(false, "LibbpfTooOld", $"libbpf {BpfObject.LibraryVersion} cannot attach a sched_ext scheduler (needs {DuplexScheduler.MinimumLibrary})");
            _parameters = DuplexPlanner.Plan(Strategy, _config.Policy, default, _cpus, default);
            if (attach)
                _scheduler = DuplexScheduler.Load(_program, _cgroupV1, _parameters, _lanes);
            else
                DuplexScheduler.Check(_program);
            return null;
        }
        catch (Exception error) when (BpfRefusal.Of(error, rejected: "SchedulerRejected", failed: "SchedulerLoadFailed") is { } refusal)
        {
            var isTaken = error is BpfException { Error: BpfException.EBUSY } && refusal.Reason == "SchedulerLoadFailed";
            return new SchedulerState(false, isTaken ? LevelPlanner.OtherScheduler : refusal.Reason, refusal.Message, refusal.Log);
        }
    }

    private void Unload()
    {
        _scheduler?.Dispose();
        _scheduler = null;
        _applied.Clear();
        Array.Clear(_last);
    }
}
