using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Controllers;

namespace Moebius.Operator.Tests.Runtime;

public sealed class PodReportsTests
{
    private static readonly V1Pod Pod = new() { Metadata = new V1ObjectMeta { Name = "a" }, Spec = new V1PodSpec { NodeName = "node-1" } };

    [Theory]
    [InlineData("# HELP moebius_kvcache_policy_generation g\nmoebius_kvcache_policy_generation 7\n", 7L)]
    [InlineData("moebius_kvcache_policy_generation{a=\"b c\"} 1e1\n", 10L)]
    [InlineData("other 3\n", null)]
    [InlineData("moebius_kvcache_policy_generation nonsense", null)]
    public void The_generation_is_read_from_metrics(string metrics, long? generation) => Assert.Equal(generation, PodReports.Generation(metrics));

    [Fact]
    public void A_node_is_read_from_what_its_agent_says()
    {
        var node = PodReports.Node(Pod, """{"ready":true,"level":"Observe","reason":"NoCxl","message":"m","kernel":"6.18","scheduler":"none","memoryOnlyNodes":0,"cgroups":[{"x":1}]}""")!;
        Assert.Equal(("node-1", SchedulingLevel.Observe, "NoCxl", "6.18", "none", 0), (node.Name, node.Level, node.Reason, node.Kernel, node.Scheduler, node.MemoryOnlyNodes));
        Assert.Null(PodReports.Node(Pod, "<html>"));
        Assert.Null(PodReports.Node(new V1Pod { Metadata = new V1ObjectMeta() }, "{}"));
    }
}
