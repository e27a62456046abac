using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Moebius.KubernetesEnvironment;

namespace Moebius.Bench.Inference;

/// <summary>A real server and what it says of itself.</summary>
internal sealed class ServedDecode : IAsyncDisposable
{
    private readonly ProductProcess _server;
    private readonly HttpClient _client;

    private ServedDecode(ProductProcess server, HttpClient client) => (_server, _client) = (server, client);

    /// <param name="limit">Where it runs; null for no limit.</param>
    /// <param name="model">The model's directory.</param>
    /// <param name="arguments">More arguments of <c>serve</c>.</param>
    public static async Task<ServedDecode> StartAsync(MemoryLimit? limit, string model, params string[] arguments)
    {
        var port = LoopbackPorts.Take();
        var server = ProductProcess.Start(limit, ["serve", "--model", model, "--listen", $"127.0.0.1:{port}", "--served-model-name", "bench", .. arguments]);
        var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromMinutes(3) };
        await server.SaysAsync("Ready after");
        return new ServedDecode(server, client);
    }

    /// <summary>Seconds of one answer.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="tokens">Tokens of the answer.</param>
    /// <param name="randomSeed">
    /// Tokens are drawn from nearly all alike, none twice: a model with random weights soon repeats its likeliest ones, and
    /// with them its routing. Null: the likeliest.
    /// </param>
    public async Task<double> AnswerAsync(string prompt, int tokens, int? randomSeed = null)
    {
        var begun = Stopwatch.GetTimestamp();
        using var response = await _client.PostAsJsonAsync("/v1/completions", new JsonObject
        {
            ["model"] = "bench",
            ["prompt"] = prompt,
            ["max_tokens"] = tokens,
            ["temperature"] = randomSeed is null ? 0 : 100,
            ["seed"] = randomSeed,
            ["repetition_penalty"] = randomSeed is null ? 1 : 100,
            ["ignore_eos"] = true,
        });
        var answer = (await response.Content.ReadFromJsonAsync<JsonObject>())!;
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException($"the server answers {(int)response.StatusCode}: {answer.ToJsonString()}");
        var generated = (int)answer["usage"]!["completion_tokens"]!;
        if (generated != tokens)
            throw new InvalidOperationException($"the server generated {generated} tokens instead of {tokens}");
        return Stopwatch.GetElapsedTime(begun).TotalSeconds;
    }

    /// <summary>The value of one metric.</summary>
    public async Task<double> MetricAsync(string name)
    {
        var text = await _client.GetStringAsync("/metrics");
        string line = text.Split('\n').First(line => line.StartsWith(name + "{", StringComparison.Ordinal));
        return double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture);
    }

    /// <summary>Most memory that the process has held, and what it holds now without file pages, in bytes.</summary>
    public (long Peak, long Anonymous) Memory()
    {
        var lines = File.ReadAllLines($"/proc/{_server.Id}/status");
        return (Field("VmHWM:"), Field("RssAnon:"));

        long Field(string name) => long.Parse(lines.First(l => l.StartsWith(name, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2].Split('\t')[^1], CultureInfo.InvariantCulture) << 10;
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _server.DisposeAsync();
    }
}
