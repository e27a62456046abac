using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.PromptOptimizer.Jobs;
using Moebius.PromptOptimizer.Models;
using Moebius.PromptOptimizer.Tests.Stores;

namespace Moebius.PromptOptimizer.Tests;

/// <summary>The service in this process, on a real port and a real file, with short waits.</summary>
internal sealed class TestService : IAsyncDisposable
{
    private readonly WebApplication _app;

    private TestService(WebApplication app)
    {
        _app = app;
        Client = new HttpClient { BaseAddress = new Uri(app.Urls.First()) };
    }

    public HttpClient Client { get; }

    public JobStore Store => _app.Services.GetRequiredService<JobStore>();

    public static string Config(string url, string more = "") => $"""
        languageModel:
          url: {url}
          model: scripted
          timeout: 20s
        {more}
        """;

    /// <summary>Starts it on a store, with the store's own lines and variables.</summary>
    public static Task<TestService> StartAsync(string config, TestStore store, Func<string, string?>? environment = null) =>
        StartAsync($"{config}\n{store.Config}", store.Folder, name => store.Variable(name) ?? environment?.Invoke(name));

    public static async Task<TestService> StartAsync(string config, string? folder, Func<string, string?>? environment = null, string clipRoot = OptimizerSettings.DefaultClipRoot)
    {
        var document = Manifests.ParseDocuments(config, "config")[0];
        var settings = OptimizerSettings.From(Manifests.Convert<PromptOptimizerConfig>(document, "config"), "config", environment ?? (_ => null), clipRoot);
        var address = new IPEndPoint(IPAddress.Loopback, 0);
        var app = PromptService.Build(settings, folder, address,
            new CallTiming(1, TimeSpan.FromMilliseconds(5), TimeSpan.FromSeconds(2)),
            new JobTiming(3, TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(100)));
        await PromptService.StartAsync(app, address, CancellationToken.None);
        return new(app);
    }

    public async Task<JsonObject> PostAsync(string path, object body, HttpStatusCode expected)
    {
        using var response = await Client.PostAsJsonAsync(path, body);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(expected == response.StatusCode, $"{(int)response.StatusCode}: {text}");
        return JsonNode.Parse(text)!.AsObject();
    }

    public async Task<JsonObject> CreateAsync(object body) => await PostAsync("/v1/jobs", body, HttpStatusCode.Created);

    public async Task<JsonObject> GetAsync(string id) => JsonNode.Parse(await Client.GetStringAsync($"/v1/jobs/{id}"))!.AsObject();

    public Task<JsonObject> EndAsync(string id) => WaitAsync(Client, id, job => (string)job["state"]! is "Succeeded" or "Failed" or "Cancelled");

    public async Task<JsonObject> RunAsync(object body) => await EndAsync((string)(await CreateAsync(body))["id"]!);

    public static async Task<JsonObject> WaitAsync(HttpClient client, string id, Func<JsonObject, bool> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            var job = JsonNode.Parse(await client.GetStringAsync($"/v1/jobs/{id}", limit.Token))!.AsObject();
            if (condition(job))
                return job;
            await Task.Delay(20, limit.Token);
        }
    }

    public Task StopAsync() => _app.StopAsync();

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        // A job in hand writes into the store until it is put back.
        await _app.StopAsync();
        await _app.DisposeAsync();
    }
}

/// <summary>A folder that goes away with its test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("moebius-prompt-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
