using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Tests.Agent;

public sealed class AgentMetricsTests
{
    [Fact]
    public async Task The_level_and_its_reason_are_one_series_that_follows_the_report()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        var metrics = new AgentMetrics();
        using var agent = new NodeAgent(new AgentOptions { Sysfs = sysfs.Root, State = Path.Combine(sysfs.Root, "state"), Config = new NodeAgentConfig { Profile = "p" } }, metrics, NullLogger<NodeAgent>.Instance);
        metrics.Update(agent.Status with { Level = SchedulingLevel.SchedExt, Reason = "StandingBy" }, []);
        metrics.Update(agent.Status with { Reason = "SchedulerExited" }, []);
        var series = (await TextAsync(metrics)).Where(line => line.StartsWith("moebius_cxl_info{", StringComparison.Ordinal)).ToList();
        Assert.Contains("reason=\"SchedulerExited\"", Assert.Single(series), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Traffic_and_losses_only_grow()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        var metrics = new AgentMetrics();
        using var agent = new NodeAgent(new AgentOptions { Sysfs = sysfs.Root, State = Path.Combine(sysfs.Root, "state"), Config = new NodeAgentConfig { Profile = "p" } }, metrics, NullLogger<NodeAgent>.Instance);
        foreach (var bytes in new[] { 100.0, 300, 200 })
        {
            metrics.Update(
                agent.Status with
                {
                    Traffic = new TrafficStatus(TelemetrySource.Resctrl, "", [new TrafficCount("local", "both", bytes)]),
                    Observer = agent.Status.Observer with { Vanished = 7 },
                },
                []);
        }

        var text = await TextAsync(metrics);
        Assert.Contains("moebius_cxl_memory_traffic_bytes_total{link=\"local\",direction=\"both\"} 300", text);
        Assert.Contains("moebius_cxl_losses_total{kind=\"vanished_cgroups\"} 7", text);
    }

    private static async Task<string[]> TextAsync(AgentMetrics metrics)
    {
        using var stream = new MemoryStream();
        await metrics.Registry.CollectAndExportAsTextAsync(stream);
        return Encoding.UTF8.GetString(stream.ToArray()).Split('\n');
    }
}
