using System.Net;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

/// <summary>Which transitions become Events; that they arrive is tested on a real server.</summary>
public sealed class EventRecorderTests
{
    [Fact]
    public async Task What_the_server_lacks_is_told_once_in_each_namespace_and_all_else_of_each_resource()
    {
        using var wire = new Wire();
        using var kubernetes = new Kubernetes(new KubernetesClientConfiguration { Host = "http://events.invalid" }, wire);
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var time = new FakeTimeProvider();
        var events = new EventRecorder(new ApiClient(kubernetes, new OperatorMetrics()), "test", time, NullLogger<EventRecorder>.Instance);
        var sending = events.RunAsync(stop.Token);

        async Task<string> SentAsync()
        {
            // Events are sent in the order in which they are recorded.
            events.Transitions(Resource("last", "one"), null, [Degraded(Reasons.ChildNotOwned)]);
            var sent = new List<string>();
            while (await wire.Names.Reader.ReadAsync(stop.Token) is not "last" and var name)
                sent.Add(name);
            return string.Join(' ', sent);
        }

        foreach (var (name, @namespace) in new[] { ("a", "one"), ("b", "one"), ("c", "two") })
            events.Transitions(Resource(name, @namespace), null, [Degraded(Reasons.ServerCapabilityMissing)]);
        Assert.Equal("a c", await SentAsync());

        events.Transitions(Resource("a", "one"), null, [Degraded(Reasons.ChildNotOwned)]);
        events.Transitions(Resource("b", "one"), null, [Degraded(Reasons.ChildNotOwned)]);
        Assert.Equal("a b", await SentAsync());

        time.Advance(TimeSpan.FromMinutes(11));
        events.Transitions(Resource("d", "one"), null, [Degraded(Reasons.ServerCapabilityMissing)]);
        Assert.Equal("d", await SentAsync());
        await stop.CancelAsync();
        await sending;
    }

    private static MoEDeployment Resource(string name, string @namespace)
    {
        var resource = Samples.MoE(name: name);
        resource.Metadata.NamespaceProperty = @namespace;
        return resource;
    }

    private static V1Condition Degraded(string reason) => new() { Type = ConditionTypes.Degraded, Status = "True", Reason = reason, Message = "so it is" };

    private sealed class Wire : DelegatingHandler
    {
        public Channel<string> Names { get; } = Channel.CreateUnbounded<string>();

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var body = JsonNode.Parse(await request.Content!.ReadAsStringAsync(cancellationToken))!;
            Names.Writer.TryWrite((string)body["involvedObject"]!["name"]!);
            return new HttpResponseMessage(HttpStatusCode.Created) { Content = new StringContent(body.ToJsonString()) };
        }
    }
}
