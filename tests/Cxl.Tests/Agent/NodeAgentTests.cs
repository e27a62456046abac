using System.Net;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Kernel;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Agent;

[Trait("Category", "Component")]
public sealed class NodeAgentTests
{
    private const string Weights = "kernel/mm/mempolicy/weighted_interleave/node";
    private static readonly string[] ThreeWeights = [$"{Weights}0 = 1", $"{Weights}1 = 1", $"{Weights}2 = 1"];

    [Fact]
    public void At_the_level_interleave_weights_are_set_and_put_back()
    {
        using var sysfs = new SysfsFixture("cxl-two-way", ThreeWeights);
        using (var agent = Start(sysfs, new NodeAgentConfig { Profile = "p" }))
        {
            Assert.Equal((SchedulingLevel.Interleave, true), (agent.Status.Level, agent.Status.Ready));
            Assert.Equal(1, agent.Status.Topology.CxlNodes);
            Assert.Equal($"{agent.Status.InterleaveWeights![1]}", sysfs[$"{Weights}1"]);
            Assert.NotEqual("1", sysfs[$"{Weights}1"]);
        }

        Assert.Equal("1", sysfs[$"{Weights}1"]);
    }

    [Fact]
    public void Weights_of_a_killed_agent_are_put_back_whatever_the_next_ones_level()
    {
        using var sysfs = new SysfsFixture("cxl-two-way", ThreeWeights);
        using (var record = WeightRecord.TryOpen(State(sysfs), "/proc")!)
            new WeightedInterleave(sysfs.Root, record).Apply(new Dictionary<int, int> { [1] = 9 });
        using var agent = Start(sysfs, new NodeAgentConfig { Profile = "p", Policy = { Strategy = MemoryStrategy.Observe } });
        Assert.Equal(SchedulingLevel.Observe, agent.Status.Level);
        Assert.Equal("1", sysfs[$"{Weights}1"]);
        // It sets none itself, so it does not stand in another one's way.
        using var free = WeightRecord.TryOpen(State(sysfs), "/proc");
        Assert.NotNull(free);
    }

    [Fact]
    public void Two_agents_do_not_fight_over_the_weights()
    {
        using var sysfs = new SysfsFixture("cxl-two-way", ThreeWeights);
        using var first = Start(sysfs, new NodeAgentConfig { Profile = "p" });
        var weight = sysfs[$"{Weights}1"];
        using (var second = Start(sysfs, new NodeAgentConfig { Profile = "q", Policy = { InterleaveWeights = [new InterleaveWeight { Node = 1, Weight = 77 }] } }))
        {
            Assert.Equal(SchedulingLevel.Observe, second.Status.Level);
            Assert.Contains("another node agent holds the weights", second.Status.Message, StringComparison.Ordinal);
        }

        Assert.Equal(weight, sysfs[$"{Weights}1"]);
    }

    [Fact]
    public void Weights_that_could_not_be_put_back_later_are_not_changed()
    {
        using var sysfs = new SysfsFixture("cxl-two-way", [.. ThreeWeights, "state = a file, where a directory is needed"]);
        using var agent = Start(sysfs, new NodeAgentConfig { Profile = "p" });
        Assert.Equal(SchedulingLevel.Observe, agent.Status.Level);
        Assert.Contains("not Interleave:", agent.Status.Message, StringComparison.Ordinal);
        Assert.Equal("1", sysfs[$"{Weights}1"]);
    }

    [Fact]
    public void Without_btf_the_agent_works_and_says_why_it_does_not_count()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        using var agent = Start(sysfs, new NodeAgentConfig { Profile = "p" });
        agent.Tick();
        Assert.Equal((SchedulingLevel.Observe, false), (agent.Status.Level, agent.Status.Observer.Loaded));
        Assert.Contains(agent.Status.Observer.Reason, new[] { "BtfMissing", "BPFObjectMissing" });
        Assert.Equal(agent.Status.Observer.Reason, agent.Status.Reason);
        Assert.Null(agent.Status.TelemetrySource);
    }

    [Theory]
    [InlineData("none integrity [confidentiality]", "000001ffffffffff", "KernelLockdown", "locked down (confidentiality)")]
    [InlineData("[none] integrity confidentiality", "0000000000000000", "CapabilityMissing", "CAP_BPF, CAP_PERFMON")]
    [InlineData("[none] integrity confidentiality", "0000008000000000", "CapabilityMissing", "lacks CAP_PERFMON")]
    public void What_the_kernel_does_not_allow_is_said_and_survived(string lockdown, string capabilities, string reason, string words)
    {
        Assert.SkipUnless(Observer.EmbeddedObject() is not null, "this build has no eBPF programs: that would be the first reason");
        using var sysfs = new SysfsFixture("ddr-only", "kernel/btf/vmlinux = x", $"kernel/security/lockdown = {lockdown}");
        using var procfs = new SysfsFixture("ddr-only", $"self/status = Name: x|CapEff: {capabilities}");
        using var agent = new NodeAgent(new AgentOptions { Sysfs = sysfs.Root, Procfs = procfs.Root, State = State(sysfs), Config = new NodeAgentConfig { Profile = "p" } }, new AgentMetrics(), NullLogger<NodeAgent>.Instance);
        agent.Tick();
        Assert.Equal((reason, reason, false), (agent.Status.Reason, agent.Status.Observer.Reason, agent.Status.Observer.Loaded));
        Assert.Contains(words, agent.Status.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_scheduler_is_left_alone_named_and_waited_for()
    {
        Assert.SkipUnless(DuplexScheduler.EmbeddedObject() is not null, "this build has no eBPF programs: that would be the first reason");
        using var sysfs = new SysfsFixture("cxl-two-way", [.. ThreeWeights, "kernel/sched_ext/state = enabled", "kernel/sched_ext/root/ops = lavd_1.0"]);
        using var agent = Start(sysfs, new NodeAgentConfig { Profile = "p" });
        agent.Tick();
        Assert.Equal((SchedulingLevel.Observe, "lavd_1.0"), (agent.Status.Level, agent.Status.Scheduler));
        Assert.Contains("'lavd_1.0' is loaded already", agent.Status.Message, StringComparison.Ordinal);
        Assert.Equal(("OtherSchedulerLoaded", 0), (agent.Status.Duplex!.Reason, agent.Status.Duplex.Failures));
        Assert.Equal("1", sysfs[$"{Weights}1"]);

        sysfs.Add("kernel/sched_ext/state = disabled");
        await Eventually.TrueAsync(() =>
        {
            agent.Tick();
            return agent.Status.Duplex!.Reason != "OtherSchedulerLoaded";
        });
        Assert.Equal("disabled", agent.Status.Scheduler);
    }

    [Fact]
    public async Task A_scheduler_is_looked_after_though_the_counters_cannot_be_read()
    {
        Assert.SkipUnless(DuplexScheduler.EmbeddedObject() is not null, "this build has no eBPF programs: that would be the first reason");
        using var sysfs = new SysfsFixture("cxl-two-way", [.. ThreeWeights, "kernel/sched_ext/state = enabled", "kernel/sched_ext/root/ops = lavd_1.0"]);
        using var agent = Start(sysfs, new NodeAgentConfig { Profile = "p" });
        agent.Counters = () => throw new BpfException("reading the map cgroups", 5);
        agent.Tick();
        Assert.Contains(agent.Status.Warnings, warning => warning.Contains("reading the map cgroups", StringComparison.Ordinal));
        sysfs.Add("kernel/sched_ext/state = disabled");
        await Eventually.TrueAsync(() =>
        {
            agent.Tick();
            return agent.Status.Duplex!.Reason != "OtherSchedulerLoaded";
        });
        agent.Counters = () => null;
        agent.Tick();
        Assert.DoesNotContain(agent.Status.Warnings, warning => warning.Contains("reading the map", StringComparison.Ordinal));
    }

    [Fact]
    public void A_report_changes_nothing_and_waits_for_nobody()
    {
        using var sysfs = new SysfsFixture("cxl-two-way", ThreeWeights);
        var options = new AgentOptions { Sysfs = sysfs.Root, State = State(sysfs), ReportOnly = true, Config = new NodeAgentConfig { Profile = "p" } };
        using (var alone = new NodeAgent(options, new AgentMetrics(), NullLogger<NodeAgent>.Instance))
        {
            alone.Tick();
            Assert.Equal((SchedulingLevel.Interleave, null), (alone.Status.Level, alone.Status.InterleaveWeights));
            Assert.Equal("1", sysfs[$"{Weights}1"]);
        }

        Assert.False(Directory.Exists(State(sysfs)), "a report leaves a record");
        using var agent = Start(sysfs, new NodeAgentConfig { Profile = "p" });
        var weight = sysfs[$"{Weights}1"];
        using (var beside = new NodeAgent(options, new AgentMetrics(), NullLogger<NodeAgent>.Instance))
            Assert.Equal(SchedulingLevel.Interleave, beside.Status.Level);
        Assert.Equal(weight, sysfs[$"{Weights}1"]);
    }

    [Fact]
    public void A_report_leaves_what_a_killed_agent_left()
    {
        using var sysfs = new SysfsFixture("cxl-two-way", ThreeWeights);
        using (var record = WeightRecord.TryOpen(State(sysfs), "/proc")!)
            new WeightedInterleave(sysfs.Root, record).Apply(new Dictionary<int, int> { [1] = 9 });
        using (new NodeAgent(new AgentOptions { Sysfs = sysfs.Root, State = State(sysfs), ReportOnly = true, Config = new NodeAgentConfig { Profile = "p" } }, new AgentMetrics(), NullLogger<NodeAgent>.Instance))
            Assert.Equal("9", sysfs[$"{Weights}1"]);
        Assert.Equal("9", sysfs[$"{Weights}1"]);
    }

    [Theory]
    [InlineData(SchedulerFallback.Interleave, SchedulingLevel.Interleave, true)]
    [InlineData(SchedulerFallback.Observe, SchedulingLevel.Observe, true)]
    [InlineData(SchedulerFallback.Fail, SchedulingLevel.Interleave, false)]
    public void A_scheduler_that_the_kernel_refuses_is_as_good_as_none(SchedulerFallback fallback, SchedulingLevel level, bool ready)
    {
        Assert.SkipUnless(DuplexScheduler.EmbeddedObject() is not null, "this build has no eBPF programs: that would be the first reason");
        // The tree says that the kernel has sched_ext: the program is refused by the one that runs the test, which lacks it.
        Assert.SkipWhen(Directory.Exists("/sys/kernel/sched_ext"), "this kernel takes the program");
        using var sysfs = new SysfsFixture("cxl-two-way", [.. ThreeWeights, "kernel/sched_ext/state = disabled"]);
        using (var agent = Start(sysfs, new NodeAgentConfig { Profile = "p", Fallback = new MemoryFallbackSpec { WithoutSchedExt = fallback } }))
        {
            agent.Tick();
            Assert.Equal((level, ready), (agent.Status.Level, agent.Status.Ready));
            Assert.Contains("not SchedExt: ", agent.Status.Message, StringComparison.Ordinal);
            Assert.Equal(level == SchedulingLevel.Interleave, sysfs[$"{Weights}1"] != "1");
        }

        Assert.Equal("1", sysfs[$"{Weights}1"]);
    }

    [Fact]
    public void A_setting_that_cannot_be_honoured_is_a_warning()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        using var agent = Start(sysfs, new NodeAgentConfig
        {
            Profile = "p",
            Workloads = [new WorkloadHint { Name = "w", PodSelector = new k8s.Models.V1LabelSelector(), Intent = MemoryIntent.ReadHeavy }],
        });
        Assert.Contains(agent.Status.Warnings, warning => warning.StartsWith("workloads:", StringComparison.Ordinal));
        Assert.StartsWith("workloads: 1 hints are not applied", Assert.Single(agent.Status.NotHonoured), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("policy: {readerAbovePercent: 40}", "policy.readerAbovePercent: 40 is out of range: use a whole number from 50 to 100")]
    [InlineData("policy: {interleaveWeights: [{node: 0, weight: 0}]}", "policy.interleaveWeights[0].weight: 0 is out of range")]
    [InlineData("policy: {interleaveWeights: [{node: 0, weight: 1}, {node: 0, weight: 2}]}", "policy.interleaveWeights[1].node: 0 stands at policy.interleaveWeights[0] already")]
    [InlineData("telemetry: {interval: 1ms}", "telemetry.interval: '1ms' must be 100ms or longer")]
    [InlineData("telemetry: {interval: 1200h}", "telemetry.interval: '1200h' must be 24h or shorter")]
    [InlineData("telemetry: {interval: soon}", "telemetry.interval: 'soon' is not a duration")]
    [InlineData("workloads: [{name: a, podSelector: {}, intent: Latency}, {name: a, podSelector: {}, intent: Latency}]", "workloads[1].name: 'a' stands at workloads[0] already")]
    [InlineData("surprise: 1", "surprise: unknown field")]
    public void Wrong_settings_are_refused_by_name(string yaml, string message)
    {
        var path = Path.GetTempFileName();
        File.WriteAllText(path, $"profile: p\n{yaml}\n");
        var error = Assert.Throws<UserInputException>(() => AgentOptions.LoadConfig(path));
        File.Delete(path);
        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_server_answers_and_stops()
    {
        using var sysfs = new SysfsFixture("cxl-two-way", ThreeWeights);
        await using var app = AgentServer.Build(new AgentOptions { Sysfs = sysfs.Root, State = State(sysfs), Patience = TimeSpan.Zero, Config = new NodeAgentConfig { Profile = "p" } }, new IPEndPoint(IPAddress.Loopback, 0));
        await app.StartAsync(TestContext.Current.CancellationToken);
        using var client = Client(app);
        Assert.Equal("ok\n", await client.GetStringAsync("/healthz"));
        Assert.Equal("ok\n", await client.GetStringAsync("/readyz"));
        var status = JsonNode.Parse(await client.GetStringAsync("/status"))!;
        Assert.Equal("Interleave", (string?)status["level"]);
        Assert.Equal(2, (int?)status["memoryOnlyNodes"]);
        var metrics = await client.GetStringAsync("/metrics");
        Assert.Contains("moebius_cxl_level 1", metrics, StringComparison.Ordinal);
        Assert.Contains("moebius_cxl_node_reported_bandwidth_bytes_per_second{node=\"2\",direction=\"read\"} 60000000000", metrics, StringComparison.Ordinal);
        await app.StopAsync(TestContext.Current.CancellationToken);
        await app.DisposeAsync();
        Assert.Equal("1", sysfs[$"{Weights}1"]);
    }

    [Fact]
    public async Task A_node_the_profile_does_not_accept_is_not_ready()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        var config = new NodeAgentConfig { Profile = "p", Fallback = new MemoryFallbackSpec { WithoutCxl = CxlFallback.Fail } };
        await using var app = AgentServer.Build(new AgentOptions { Sysfs = sysfs.Root, State = State(sysfs), Patience = TimeSpan.Zero, Config = config }, new IPEndPoint(IPAddress.Loopback, 0));
        await app.StartAsync(TestContext.Current.CancellationToken);
        using var client = Client(app);
        using var response = await client.GetAsync(new Uri("/readyz", UriKind.Relative));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Contains("no NUMA node has CXL memory", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private static string State(SysfsFixture sysfs) => Path.Combine(sysfs.Root, "state");

    private static NodeAgent Start(SysfsFixture sysfs, NodeAgentConfig config) =>
        new(new AgentOptions { Sysfs = sysfs.Root, State = State(sysfs), Patience = TimeSpan.Zero, Config = config }, new AgentMetrics(), NullLogger<NodeAgent>.Instance);

    private static HttpClient Client(WebApplication app) =>
        new() { BaseAddress = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()) };
}
