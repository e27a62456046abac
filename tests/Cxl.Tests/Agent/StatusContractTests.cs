using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;

namespace Moebius.Cxl.Tests.Agent;

/// <summary>What the operator reads from /status for a node's entry in the profile.</summary>
public sealed class StatusContractTests
{
    private static readonly JsonSerializerOptions Lenient = new(AgentServer.Json) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip };

    [Fact]
    public void A_report_reads_as_the_status_of_a_node()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        using var agent = new NodeAgent(new AgentOptions { Sysfs = sysfs.Root, State = Path.Combine(sysfs.Root, "state"), NodeName = "node-7", Config = new NodeAgentConfig { Profile = "p" } }, new AgentMetrics(), NullLogger<NodeAgent>.Instance);
        var report = JsonNode.Parse(JsonSerializer.Serialize(agent.Status, AgentServer.Json))!.AsObject();
        var node = report.Deserialize<NodeMemoryStatus>(Lenient)!;
        Assert.Equal(("node-7", agent.Status.Level, agent.Status.Reason), (node.Name, node.Level!.Value, node.Reason!));
        Assert.Equal((agent.Status.Kernel, agent.Status.Scheduler, agent.Status.MemoryOnlyNodes), (node.Kernel!, node.Scheduler!, node.MemoryOnlyNodes!.Value));
    }
}
