using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Hints;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Policy;
using Moebius.Cxl.Telemetry;
using Moebius.Cxl.Topology;
using static Moebius.Cxl.VirtualMachine.Checks;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>The agent and its parts, on this machine.</summary>
internal static class AgentChecks
{
    public static string Discovery()
    {
        var topology = TopologyReader.Read("/sys");
        var node = topology.CxlNodes.Single();
        Require(node.MemoryBytes == 512L << 20 && node.Cpus.Count == 0, $"{node}");
        Require(topology.MemoryDevices.Count == 1 && topology.Regions.Single().Mode == "ram", "devices or regions are missing");
        Require(topology.Warnings.Count == 0, string.Join("; ", topology.Warnings));
        return $"node{node.Id}, {node.Performance}";
    }

    /// <summary>A hundred pods at a time, each with a container, as a container runtime would name them.</summary>
    public static string Pods()
    {
        const int Batches = 10;
        const int Batch = 100;
        var root = Path.Combine(Workers.CgroupRoot, "kubepods");
        var hierarchy = CgroupHierarchy.Find(Workers.CgroupRoot, "/sys")!;
        Directory.CreateDirectory(root);
        using var keeper = new SchedulerKeeper(DuplexScheduler.EmbeddedObject()!, new NodeAgentConfig { Profile = "p", Policy = { Strategy = MemoryStrategy.DuplexPair } }, [[0, 1]], false, "/sys", "/proc", false, TimeProvider.System);
        FaultChecks.Engage(keeper);
        long first = 0;
        for (var batch = 0; batch < Batches; batch++)
        {
            var uids = Enumerable.Range(0, Batch).Select(_ => $"{Guid.NewGuid()}").ToList();
            foreach (var uid in uids)
                Directory.CreateDirectory(Path.Combine(root, $"pod{uid}", string.Concat(Enumerable.Repeat(uid.Replace("-", "", StringComparison.Ordinal), 2))));
            Tick(uids.ToDictionary(uid => uid, _ => MemoryIntent.ReadHeavy));
            Require(keeper.HintsInKernel.Count == 2 * Batch, $"{keeper.HintsInKernel.Count} hints in the kernel, expected {2 * Batch}");
            foreach (var uid in uids)
            {
                Directory.Delete(Directory.GetDirectories(Path.Combine(root, $"pod{uid}")).Single());
                Directory.Delete(Path.Combine(root, $"pod{uid}"));
            }

            Tick(new Dictionary<string, MemoryIntent>());
            Require(keeper.HintsInKernel.Count == 0, $"{keeper.HintsInKernel.Count} hints are left in the kernel");
            if (batch == 0)
                first = GC.GetTotalMemory(forceFullCollection: true);
        }

        Directory.Delete(root);
        var grown = GC.GetTotalMemory(forceFullCollection: true) - first;
        Require(grown < 1 << 20, $"the heap grew by {grown} bytes");
        return $"{Batches * Batch} pods, no hint left; the heap grew by {grown / 1024} KiB since the first {Batch}";

        void Tick(Dictionary<string, MemoryIntent> pods) => keeper.Tick(HintResolver.ByCgroup(hierarchy.Scan(), pods), FaultChecks.Busy, 0);
    }

    public static NodeAgent StartAgent(MemoryStrategy strategy = MemoryStrategy.Auto) => new(
        new AgentOptions { Config = new NodeAgentConfig { Profile = "p", Policy = { Strategy = strategy } }, Cgroups = Workers.CgroupRoot }, new AgentMetrics(), NullLogger<NodeAgent>.Instance);

    /// <summary>
    /// The agent takes the machine over when somebody reads and somebody writes, and gives it back when they are gone.
    /// </summary>
    public static string Agent()
    {
        string message;
        using (var agent = StartAgent())
        {
            agent.Tick();
            Require(agent.Status is { Level: SchedulingLevel.SchedExt, Reason: "StandingBy" }, $"{agent.Status.Level}: {agent.Status.Reason}: {agent.Status.Message}");
            Require(SchedExt == "disabled", "the scheduler is loaded with nobody to schedule");
            Require(agent.Status.Observer.Loaded, $"{agent.Status.Observer.Reason}: {agent.Status.Observer.Message}");
            var engaged = Stopwatch.StartNew();
            using (var readers = new BusyCgroup("readers", 1, intent: "read-heavy"))
            using (var writers = new BusyCgroup("writers", 1, intent: "write-heavy"))
            {
                while (agent.Status.Duplex?.Loaded != true && engaged.Elapsed < TimeSpan.FromSeconds(60))
                {
                    Thread.Sleep(300);
                    agent.Tick();
                }

                var status = agent.Status;
                Require(SchedExt == "enabled" && status.Duplex?.Loaded == true, $"the state is {SchedExt}: {status.Reason}: {status.Message}");
                // The hints reach the kernel with the interval after the program, and what runs is counted from then on.
                while (!InTheirClasses(agent.Status) && engaged.Elapsed < TimeSpan.FromSeconds(60))
                {
                    Thread.Sleep(300);
                    agent.Tick();
                }

                Require(InTheirClasses(agent.Status), $"readers and writers do not run in their classes: {string.Join(", ", agent.Status.Duplex!.Classes.Select(value => $"{value.Class} {value.Runs}"))}");
                message = $"loaded within {engaged.ElapsedMilliseconds} ms; {status.Duplex!.Strategy}: {status.Duplex.StrategyReason}; {status.Scheduler}";
            }

            for (var i = 0; i <= Engagement.ReleaseAfter; i++)
                agent.Tick();
            Require(SchedExt == "disabled" && agent.Status.Reason == "StandingBy", $"the state is {SchedExt}: {agent.Status.Reason}: {agent.Status.Message}");
        }

        Back();
        return $"{message}; gone with them";
    }

    private static bool InTheirClasses(AgentStatus status) =>
        status.Duplex!.Classes.Count(value => value.Class is "Read" or "Write" && value.Runs > 0) == 2;

    /// <summary>CAP_BPF, CAP_PERFMON and CAP_SYS_NICE suffice, without CAP_SYS_ADMIN.</summary>
    public static string Capabilities()
    {
        using var readers = new BusyCgroup("readers", 1, intent: "read-heavy");
        using var writers = new BusyCgroup("writers", 1, intent: "write-heavy");
        using var agent = Workers.Again("limited");
        var said = agent.StandardOutput.ReadToEnd().Trim();
        agent.WaitForExit();
        Require(agent.ExitCode == 0, said);
        Back();
        return said;
    }

    public static string OtherScheduler()
    {
        using var other = SchedulerChecks.Load();
        using var agent = StartAgent();
        agent.Tick();
        Require(agent.Status.Level != SchedulingLevel.SchedExt, $"the level is {agent.Status.Level}");
        Require(agent.Status.Message.Contains("is loaded already", StringComparison.Ordinal), agent.Status.Message);
        Require(SchedExt == "enabled" && other.Exit is null, "the other scheduler was disturbed");
        return $"{agent.Status.Level}: {agent.Status.Message}";
    }
}
