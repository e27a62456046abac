using System.Net;
using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Controllers;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Tests.Runtime;

public sealed class PodReportsTests
{
    private static readonly V1Pod Pod = new() { Metadata = new V1ObjectMeta { Name = "a" }, Spec = new V1PodSpec { NodeName = "node-1" } };

    [Theory]
    [InlineData("# HELP moebius_kvcache_policy_generation g\nmoebius_kvcache_policy_generation 7\n", 7L)]
    [InlineData("moebius_kvcache_policy_generation{a=\"b c\"} 1e1\n", 10L)]
    [InlineData("other 3\n", null)]
    [InlineData("moebius_kvcache_policy_generation nonsense", null)]
    public void The_generation_is_read_from_metrics(string metrics, long? generation) => Assert.Equal(generation, PodReports.Value(metrics, "moebius_kvcache_policy_generation"));

    [Fact]
    public void A_node_is_read_from_what_its_agent_says()
    {
        var node = PodReports.Node(Pod, """{"ready":true,"level":"Observe","reason":"NoCxl","message":"m","kernel":"6.18","scheduler":"none","memoryOnlyNodes":0,"cgroups":[{"x":1}]}""")!;
        Assert.Equal(("node-1", SchedulingLevel.Observe, "NoCxl", "6.18", "none", 0), (node.Name, node.Level, node.Reason, node.Kernel, node.Scheduler, node.MemoryOnlyNodes));
        Assert.Null(node.NotHonoured);
        var settings = PodReports.Node(Pod, $$"""{"level":"Observe","notHonoured":["{{new string('x', 300)}}",null{{string.Concat(Enumerable.Repeat(",\"y\"", 20))}}]}""")!.NotHonoured!;
        Assert.Equal((NodeMemoryStatus.MostNotHonoured, NodeMemoryStatus.LongestNotHonoured), (settings.Count, settings[0].Length));
        Assert.Null(PodReports.Node(Pod, "<html>"));
        Assert.Null(PodReports.Node(new V1Pod { Metadata = new V1ObjectMeta() }, "{}"));
    }

    [Fact]
    public async Task A_pod_that_answers_without_end_is_left_out()
    {
        const string Metric = "moebius_kvcache_policy_generation 7\n";
        Assert.Equal(7, (await AskAsync(Metric)).Generation);
        Assert.Null((await AskAsync(Metric + new string('#', 2 << 20))).Generation);
    }

    [Theory]
    [InlineData("moebius_kvcache_policy_invalid 1\nmoebius_kvcache_policy_refused_generation 8\n", 1)]
    [InlineData("moebius_kvcache_policy_invalid 1\nmoebius_kvcache_policy_refused_generation 7\n", 0)]
    [InlineData("moebius_kvcache_policy_invalid 0\nmoebius_kvcache_policy_refused_generation 0\n", 0)]
    // A file that cannot be read has no generation, and an older sidecar does not say which.
    [InlineData("moebius_kvcache_policy_invalid 1\nmoebius_kvcache_policy_refused_generation 0\n", 1)]
    [InlineData("moebius_kvcache_policy_invalid 1\n", 1)]
    public async Task Only_the_generation_that_is_asked_about_is_refused(string metrics, int refusals) => Assert.Equal(refusals, (await AskAsync(metrics, 8)).Refusals);

    private static async Task<PolicyReport> AskAsync(string text, long? generation = 7)
    {
        using var handler = new Answers(new HttpResponseMessage(HttpStatusCode.OK) { Content = new StringContent(text) });
        using var http = PodReports.Client(handler);
        var pod = new V1Pod { Metadata = new V1ObjectMeta { Name = "a" }, Status = new V1PodStatus { PodIP = "10.0.0.1" } };
        return await new PodReports(http).PolicyAsync([pod], generation, TestContext.Current.CancellationToken);
    }

    [Fact]
    public void No_pod_sends_the_operator_elsewhere()
    {
        using var handler = new OperatorOptions(OperatorSettings.Default, null, new IPEndPoint(IPAddress.Loopback, 0), false, "a").ServiceHandler();
        Assert.False(Assert.IsType<SocketsHttpHandler>(handler).AllowAutoRedirect);
    }

    [Theory]
    [InlineData(HttpStatusCode.OK, "null", "the answer is not what a prompt optimizer says")]
    [InlineData(HttpStatusCode.OK, """{"id": "a", "state": "Running", "rounds": null}""", "the answer is not what a prompt optimizer says")]
    [InlineData(HttpStatusCode.BadRequest, """{"detail": "prompt: is empty"}""", "prompt: is empty")]
    [InlineData(HttpStatusCode.BadRequest, """{"detail": {"of": "another"}}""", "BadRequest")]
    [InlineData(HttpStatusCode.BadRequest, "[1]", "BadRequest")]
    [InlineData(HttpStatusCode.BadGateway, "<html>", "the answer is not what a prompt optimizer says")]
    public async Task What_a_service_should_not_answer_is_an_error_in_words(HttpStatusCode code, string body, string message)
    {
        using var handler = new Answers(new HttpResponseMessage(code) { Content = new StringContent(body) });
        using var http = PromptService.Client(handler);
        var error = await Assert.ThrowsAsync<PromptServiceException>(() => new PromptService(http).GetAsync(new Uri("http://service"), "a", TestContext.Current.CancellationToken));
        Assert.Equal(code, error.StatusCode);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    private sealed class Answers(HttpResponseMessage answer) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) => Task.FromResult(answer);
    }
}
