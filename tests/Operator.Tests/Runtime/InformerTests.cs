using System.Threading.Channels;
using k8s;
using k8s.Models;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

/// <summary>The informer against a server that misbehaves on request. What a healthy one does is tested on a real one.</summary>
[Trait("Category", "Component")]
public sealed class InformerTests
{
    [Fact]
    public async Task A_watch_that_is_cut_goes_on_where_it_stopped()
    {
        await using var server = await FakeServer.StartAsync();
        await using var informer = server.Inform();
        await server.ListAsync("10", Map("a", "5"));
        var first = await server.WatchAsync();
        Assert.Equal("10", first.ResourceVersion);
        // In one piece: who has seen the one has got the other.
        await first.SendRawAsync($$"""{"type":"ADDED","object":{{Map("b", "11")}}}""" + "\n" + $$"""{"type":"BOOKMARK","object":{{Map("", "40")}}}""");
        await informer.UntilAsync("a b");
        first.Cut();
        var second = await server.WatchAsync();
        Assert.Equal("40", second.ResourceVersion);
        await second.SendAsync("DELETED", Map("a", "41"));
        await informer.UntilAsync("b");
        Assert.Equal(1, server.Lists);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_forgotten_resource_version_leads_to_a_new_list_that_drops_what_is_gone(bool inStream)
    {
        await using var server = await FakeServer.StartAsync();
        await using var informer = server.Inform();
        await server.ListAsync("10", Map("a", "5"), Map("b", "6"));
        var first = await server.WatchAsync();
        if (inStream)
        {
            await first.SendRawAsync("""{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}""");
        }
        else
        {
            first.Cut();
            await (await server.WatchAsync()).RefuseAsync(410);
        }

        await server.ListAsync("100", Map("b", "6"), Map("c", "90"));
        Assert.Equal("100", (await server.WatchAsync()).ResourceVersion);
        await informer.UntilAsync("b c");
        Assert.Contains("-a", informer.Changes);
    }

    [Fact]
    public async Task Errors_and_lines_that_are_not_JSON_are_tried_again()
    {
        await using var server = await FakeServer.StartAsync();
        await using var informer = server.Inform();
        await server.FailListAsync(503);
        await server.ListAsync("10", Map("a", "5"));
        var first = await server.WatchAsync();
        // The server keeps the connection: the line alone is the reason to begin another.
        await first.SendRawAsync("{\"type\":\"ADDED\",\"obj");
        var second = await server.WatchAsync();
        first.Cut();
        Assert.Equal("10", second.ResourceVersion);
        await second.SendAsync("ADDED", Map("b", "12"));
        await informer.UntilAsync("a b");
    }

    [Fact]
    public async Task An_object_that_cannot_be_read_does_not_hide_the_others()
    {
        await using var server = await FakeServer.StartAsync();
        await using var informer = server.Inform();
        await server.ListAsync("10", """{"metadata":{"name":"bad","namespace":"n","resourceVersion":"1"},"data":7}""", Map("a", "5"));
        await informer.UntilAsync("a");
    }

    [Fact]
    public void The_cache_ignores_what_is_older_than_what_it_knows()
    {
        var cache = new SharedCache<V1ConfigMap>();
        static V1ConfigMap At(string version) => new() { Metadata = new V1ObjectMeta { Name = "a", NamespaceProperty = "n", ResourceVersion = version, Uid = "u" } };
        cache.Set(At("9"));
        cache.Set(At("10"));
        cache.Set(At("7"));
        Assert.Equal("10", cache.Find(new ObjectKey("n", "a"))!.Metadata.ResourceVersion);
        cache.Remove(At("12"));
        // The late answer to a write that came before the deletion.
        cache.Set(At("11"));
        Assert.Null(cache.Find(new ObjectKey("n", "a")));
        cache.Set(At("13"));
        Assert.NotNull(cache.Find(new ObjectKey("n", "a")));
    }

    private static string Map(string name, string version) =>
        """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME","namespace":"n","uid":"NAME","resourceVersion":"VERSION"}}"""
            .Replace("NAME", name, StringComparison.Ordinal).Replace("VERSION", version, StringComparison.Ordinal);

    private sealed class Running(Informer<V1ConfigMap> informer, IDisposable client) : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private Task _loop = Task.CompletedTask;

        public List<string> Changes { get; } = [];

        public Running Start()
        {
            informer.Cache.Changed += (before, after) =>
            {
                lock (Changes)
                    Changes.Add(after is null ? $"-{before!.Metadata.Name}" : $"+{after.Metadata.Name}");
            };
            _loop = informer.RunAsync(_stop.Token);
            return this;
        }

        public Task UntilAsync(string names) => Eventually.EqualAsync(names, () =>
            Task.FromResult(string.Join(' ', informer.Cache.List().Select(map => map.Metadata.Name).Order(StringComparer.Ordinal))));

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _loop;
            _stop.Dispose();
            client.Dispose();
        }
    }

    private sealed class FakeServer(WebApplication app, Channel<FakeRequest> lists, Channel<FakeRequest> watches) : IAsyncDisposable
    {
        public int Lists { get; private set; }

        public static async Task<FakeServer> StartAsync()
        {
            var lists = Channel.CreateUnbounded<FakeRequest>();
            var watches = Channel.CreateUnbounded<FakeRequest>();
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            var app = builder.Build();
            app.MapGet("/api/v1/configmaps", async (HttpContext context) =>
            {
                var request = new FakeRequest(context);
                await (context.Request.Query.ContainsKey("watch") ? watches : lists).Writer.WriteAsync(request);
                await request.Finished;
            });
            await app.StartAsync();
            return new FakeServer(app, lists, watches);
        }

        public Running Inform()
        {
            var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
            var metrics = new OperatorMetrics();
            var kubernetes = new Kubernetes(new KubernetesClientConfiguration { Host = address });
            return new Running(new Informer<V1ConfigMap>(new ApiClient(kubernetes, metrics), null, null, TimeProvider.System, metrics, NullLogger.Instance), kubernetes).Start();
        }

        public async Task ListAsync(string resourceVersion, params string[] items)
        {
            Lists++;
            await (await NextAsync(lists)).AnswerAsync($$"""{"metadata":{"resourceVersion":"{{resourceVersion}}"},"items":[{{string.Join(',', items)}}]}""");
        }

        public async Task FailListAsync(int code) => await (await NextAsync(lists)).RefuseAsync(code);

        public Task<FakeRequest> WatchAsync() => NextAsync(watches);

        public async ValueTask DisposeAsync()
        {
            while (watches.Reader.TryRead(out var request))
                request.Cut();
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            await app.StopAsync(patience.Token);
            await app.DisposeAsync();
        }

        private static Task<FakeRequest> NextAsync(Channel<FakeRequest> channel) => Eventually.EndsAsync(channel.Reader.ReadAsync().AsTask());
    }

    private sealed class FakeRequest(HttpContext context)
    {
        private readonly TaskCompletionSource _finished = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Finished => _finished.Task;

        public string ResourceVersion => context.Request.Query["resourceVersion"].ToString();

        public Task SendAsync(string type, string value) => SendRawAsync($$"""{"type":"{{type}}","object":{{value}}}""");

        public async Task SendRawAsync(string line)
        {
            await context.Response.WriteAsync(line + "\n");
            await context.Response.Body.FlushAsync();
        }

        public async Task AnswerAsync(string body)
        {
            await context.Response.WriteAsync(body);
            _finished.SetResult();
        }

        public async Task RefuseAsync(int code)
        {
            context.Response.StatusCode = code;
            await AnswerAsync($$"""{"kind":"Status","code":{{code}},"reason":"{{(code == 410 ? "Expired" : "ServiceUnavailable")}}","message":"no"}""");
        }

        public void Cut()
        {
            context.Abort();
            _finished.TrySetResult();
        }
    }
}
