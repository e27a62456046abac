using System.Text.Json;
using k8s;
using k8s.Models;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Hints;

namespace Moebius.Cxl.Tests.Hints;

[Trait("Category", "Component")]
public sealed class PodWatchTests
{
    private const string Pods = """
        {"kind":"PodList","apiVersion":"v1","metadata":{},"items":[
          {"metadata":{"name":"a","namespace":"n","uid":"u1","annotations":{"moebius.dev/memory-intent":"write-heavy"}}},
          {"metadata":{"name":"b","namespace":"n","uid":"u2","annotations":{"kubernetes.io/config.hash":"0123456789abcdef0123456789abcdef","kubernetes.io/config.mirror":"0123456789abcdef0123456789abcdef","moebius.dev/memory-intent":"latency"},"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"node-7","uid":"x"}]}},
          {"metadata":{"name":"c","namespace":"n","uid":"u3","annotations":{"moebius.dev/memory-intent":"quick"}}},
          {"metadata":{"name":"d","namespace":"n","uid":"u4","annotations":{"kubernetes.io/config.hash":"u1","moebius.dev/memory-intent":"latency"}}}]}
        """;

    private const string Hash = "00000000000000000000000000000001";

    [Theory]
    [InlineData("""{"kubernetes.io/config.hash":"HASH","kubernetes.io/config.mirror":"HASH"}""", "v1", "Node", "node-7", true)]
    [InlineData("""{"kubernetes.io/config.hash":"HASH"}""", "v1", "Node", "node-7", false)]
    [InlineData("""{"kubernetes.io/config.hash":"HASH","kubernetes.io/config.mirror":"x"}""", "v1", "Node", "node-7", false)]
    [InlineData("""{"kubernetes.io/config.hash":"HASH","kubernetes.io/config.mirror":"HASH"}""", "v1", "Node", "node-8", false)]
    [InlineData("""{"kubernetes.io/config.hash":"HASH","kubernetes.io/config.mirror":"HASH"}""", "apps/v1", "ReplicaSet", "node-7", false)]
    [InlineData("""{"kubernetes.io/config.hash":"HASH","kubernetes.io/config.mirror":"HASH"}""", null, null, null, false)]
    public void Only_the_kubelets_own_mirror_speaks_for_a_static_pod(string annotations, string? version, string? kind, string? owner, bool believed)
    {
        var pod = new V1Pod
        {
            Metadata = new V1ObjectMeta
            {
                Uid = "u9",
                NamespaceProperty = "n",
                Annotations = JsonSerializer.Deserialize<Dictionary<string, string>>(annotations.Replace("HASH", Hash, StringComparison.Ordinal)),
                OwnerReferences = kind is null ? null : [new V1OwnerReference { ApiVersion = version, Kind = kind, Name = owner, Uid = "x" }],
            },
        };
        Assert.Equal(believed ? Hash : "u9", PodWatch.Describe(pod, "node-7").Uid);
    }

    [Fact]
    public async Task Pods_of_this_node_are_listed_and_a_failure_keeps_the_last_answer()
    {
        var cancellation = TestContext.Current.CancellationToken;
        Func<HttpContext, Task>? fail = null;
        string? query = null;
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        await using var server = builder.Build();
        server.MapGet("/api/v1/pods", (HttpContext context) =>
        {
            query = context.Request.Query["fieldSelector"];
            return fail?.Invoke(context) ?? Results.Text(Pods, "application/json").ExecuteAsync(context);
        });
        await server.StartAsync(cancellation);
        using var client = new Kubernetes(new KubernetesClientConfiguration { Host = server.Urls.First() });
        using var watch = new PodWatch(client, "node-7", [], TimeSpan.FromMinutes(1), NullLogger<PodWatch>.Instance);
        Assert.NotNull(watch.Warning);

        await watch.RefreshAsync(cancellation);
        Assert.Equal("spec.nodeName=node-7", query);
        Assert.Equal(MemoryIntent.WriteHeavy, watch.Current.Intents["u1"]);
        Assert.Equal(MemoryIntent.Latency, watch.Current.Intents["0123456789abcdef0123456789abcdef"]);
        // A pod that gives itself for another one speaks for itself all the same.
        Assert.Equal(MemoryIntent.Latency, watch.Current.Intents["u4"]);
        Assert.StartsWith("moebius.dev/memory-intent: 1 pods have an annotation that is none of ", watch.Refused, StringComparison.Ordinal);
        Assert.Null(watch.Warning);
        Assert.Null(watch.Forbidden);

        using var strict = new PodWatch(client, "node-7", [], TimeSpan.FromMinutes(1), NullLogger<PodWatch>.Instance, [MemoryIntent.WriteHeavy, MemoryIntent.Balanced]);
        await strict.RefreshAsync(cancellation);
        Assert.Equal(["u1"], strict.Current.Intents.Keys);
        Assert.Equal("policy.annotationIntents: 2 pods claim by moebius.dev/memory-intent an intent that is not in [WriteHeavy, Balanced]", strict.Forbidden);

        Func<HttpContext, Task>[] failures =
        [
            context => Results.StatusCode(500).ExecuteAsync(context),
            context => Results.Text("<html>a proxy's page</html>", "text/html").ExecuteAsync(context),
            async context =>
            {
                context.Response.ContentLength = Pods.Length;
                await context.Response.WriteAsync(Pods[..20], cancellation);
                await context.Response.Body.FlushAsync(cancellation);
                context.Abort();
            },
        ];
        foreach (var failure in failures)
        {
            fail = failure;
            await watch.RefreshAsync(cancellation);
            Assert.StartsWith("pods: cannot be listed", watch.Warning, StringComparison.Ordinal);
            Assert.Equal(3, watch.Current.Intents.Count);
            fail = null;
            await watch.RefreshAsync(cancellation);
            Assert.Null(watch.Warning);
        }
    }
}
