using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using k8s;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Cxl.Agent;

namespace Moebius.Cxl.Tests.Agent;

[Trait("Category", "Component")]
public sealed class NodeEventsTests
{
    [Fact]
    public async Task An_event_is_written_once_and_a_refusal_is_said()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var written = new ConcurrentQueue<JsonNode>();
        IResult? refusal = null;
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        await using var server = builder.Build();
        server.MapPost("/api/v1/namespaces/default/events", async (HttpRequest request) =>
        {
            if (refusal is not null)
                return refusal;
            var body = (await JsonNode.ParseAsync(request.Body, cancellationToken: cancellation))!;
            written.Enqueue(body);
            return Results.Text(body.ToJsonString(), "application/json", statusCode: 201);
        });
        await server.StartAsync(cancellation);
        using var client = new Kubernetes(new KubernetesClientConfiguration { Host = server.Urls.First() });
        using var events = new NodeEvents(client, "node-7", TimeProvider.System, NullLogger<NodeEvents>.Instance);
        await events.StartAsync(cancellation);

        events.Add(new NodeEvent(false, "LevelChosen", "a level"));
        events.Add(new NodeEvent(false, "LevelChosen", "a level"));
        events.Add(new NodeEvent(true, "SchedulerExited", new string('x', 5000)));
        await Eventually.TrueAsync(() => written.Count == 2);
        Assert.Equal(["LevelChosen Normal 7", "SchedulerExited Warning 1024"], written.Select(one => $"{one["reason"]} {one["type"]} {((string)one["message"]!).Length}"));
        Assert.All(written, one => Assert.Equal(("Node", "node-7"), ((string?)one["involvedObject"]!["kind"], (string?)one["involvedObject"]!["name"])));
        Assert.Null(events.Warning);

        IResult[] refusals = [Results.StatusCode(403), Results.Text("<html>a proxy's page</html>", "text/html")];
        foreach (var each in refusals)
        {
            refusal = each;
            var message = $"again {written.Count}";
            events.Add(new NodeEvent(true, "SchedulerBackOff", message));
            await Eventually.TrueAsync(() => events.Warning is not null);
            Assert.StartsWith("events: cannot be written", events.Warning, StringComparison.Ordinal);
            // It is written as soon as it can be, and nothing else has to happen for that.
            refusal = null;
            await Eventually.TrueAsync(() => events.Warning is null);
            Assert.Equal(message, (string?)written.Last()["message"]);
        }

        // What the server finds invalid would be so for ever: it does not keep the next one waiting.
        refusal = Results.StatusCode(422);
        events.Add(new NodeEvent(true, "SchedulerExited", "invalid"));
        await Eventually.TrueAsync(() => events.Warning is not null);
        refusal = null;
        events.Add(new NodeEvent(false, "SchedulerLoaded", "the next"));
        await Eventually.TrueAsync(() => events.Warning is null);
        Assert.Equal(["a level", "xxxxxxx", "again 2", "again 3", "the next"], written.Select(one => (string)one["message"]!).Select(text => text.Length > 100 ? text[..7] : text));
        await events.StopAsync(cancellation);
    }
}
