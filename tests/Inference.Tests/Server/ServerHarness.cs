using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Moebius.Inference.Models;
using Moebius.Inference.Server;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.Server;

/// <summary>The real server on a real socket, over the toy model.</summary>
internal sealed class ServerHarness : IAsyncDisposable
{
    private readonly InferenceServer _server;

    private ServerHarness(InferenceServer server, ToyModel model)
    {
        _server = server;
        Model = model;
        Http = new HttpClient { BaseAddress = server.Address };
    }

    public static ServeOptions Options { get; } = new()
    {
        ModelDirectory = Fixtures.Model,
        ModelName = "toy",
        Listen = new IPEndPoint(IPAddress.Loopback, 0),
        KVMemoryBytes = 1 << 20,
        BlockTokens = 4,
        WarmUp = false,
    };

    public HttpClient Http { get; }

    public ToyModel Model { get; }

    public InferenceServer Server => _server;

    public static async Task<ServerHarness> StartAsync(ServeOptions? options = null, ToyModel? model = null, bool wait = true, Func<ICausalModel>? load = null, CollectingLogger? log = null)
    {
        model ??= new ToyModel(blockTokens: 4);
        var harness = new ServerHarness(await InferenceServer.StartAsync(options ?? Options, _ => load?.Invoke() ?? model, TimeProvider.System, logging => _ = log is null ? logging.SetMinimumLevel(LogLevel.None) : logging.AddProvider(log)), model);
        if (wait)
            await Eventually.EndsAsync(harness._server.Loaded, "a model that is loaded");
        return harness;
    }

    public async Task<(HttpStatusCode Status, JsonNode Body, HttpResponseMessage Response)> PostAsync(string path, string json, string? tenant = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path, UriKind.Relative)) { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        if (tenant is not null)
            request.Headers.Add("X-Moebius-Tenant", tenant);
        var response = await Http.SendAsync(request, TestContext.Current.CancellationToken);
        return (response.StatusCode, (await response.Content.ReadFromJsonAsync<JsonNode>(TestContext.Current.CancellationToken))!, response);
    }

    /// <summary>The events of a stream, without the closing mark, which must be there.</summary>
    public async Task<List<JsonNode>> StreamAsync(string path, string json)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        var response = await Http.PostAsync(new Uri(path, UriKind.Relative), content, TestContext.Current.CancellationToken);
        var text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(response.IsSuccessStatusCode, text);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        var lines = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("data: [DONE]", lines[^1]);
        return [.. lines.SkipLast(1).Select(line => JsonNode.Parse(line["data: ".Length..])!)];
    }

    public async Task<string> GetAsync(string path) => await Http.GetStringAsync(new Uri(path, UriKind.Relative), TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        // The engine waits for the step under way.
        Model.Gate.Open();
        await Eventually.EndsAsync(_server.DisposeAsync().AsTask(), "the end of the server");
    }
}
