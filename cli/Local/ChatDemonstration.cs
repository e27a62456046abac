using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Spectre.Console;

namespace Moebius.Cli.Local;

/// <summary>
/// Talks to a running server as a client would: one prompt twice from one tenant and once from another, and shows
/// what the prefix cache and the expert store made of it. Every figure is measured here or read from the server.
/// </summary>
internal sealed partial class ChatDemonstration(Uri server, Uri metricsServer) : IDisposable
{
    private const int MaxTokens = 96;

    private readonly HttpClient _http = new() { BaseAddress = server, Timeout = TimeSpan.FromMinutes(5) };

    public void Dispose() => _http.Dispose();

    public async Task<bool> RunAsync(string prompt, CancellationToken stop)
    {
        var models = await _http.GetFromJsonAsync<JsonObject>("v1/models", stop).ConfigureAwait(false);
        var model = models?["data"]?[0]?["id"]?.GetValue<string>() ?? throw new InvalidOperationException("the server names no model");

        AnsiConsole.WriteLine();
        AnsiConsole.MarkupLineInterpolated($"[bold]{model}[/] is asked to go on from:");
        Console.WriteLine(prompt);
        AnsiConsole.WriteLine();
        var first = await AskAsync(model, "alice", prompt, Console.Write, stop).ConfigureAwait(false);
        Console.WriteLine();
        Console.WriteLine();
        var second = await AskAsync(model, "alice", prompt, null, stop).ConfigureAwait(false);
        var other = await AskAsync(model, "bob", prompt, null, stop).ConfigureAwait(false);

        var table = new Table().Border(TableBorder.Simple)
            .AddColumns("request", "first token", "tokens/s", "prompt", "cached", "same answer");
        Row(table, "alice", first, first);
        Row(table, "alice again", second, first);
        Row(table, "bob, same words", other, first);
        AnsiConsole.Write(table);

        var metrics = await _http.GetStringAsync(new Uri(metricsServer, "metrics"), stop).ConfigureAwait(false);
        var hits = Sum(metrics, "moebius_expert_hits_total");
        var misses = Sum(metrics, "moebius_expert_misses_total");
        var resident = Sum(metrics, "moebius_expert_resident_bytes");
        var budget = Sum(metrics, "moebius_expert_budget_bytes");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"Experts: {100 * hits / Math.Max(1, hits + misses):0.0}% of {hits + misses:0} uses found the expert in fast memory ({resident / 1048576:0.0} of {budget / 1048576:0.0} MiB in use)."));

        var same = first.Text == second.Text && first.Text == other.Text;
        if (!same)
            await Console.Error.WriteLineAsync("moebius: the answers differ although decoding is greedy: this is a bug").ConfigureAwait(false);
        return same && first.CompletionTokens > 0;
    }

    private static void Row(Table table, string name, Answer answer, Answer reference) => table.AddRow(
        name,
        answer.FirstToken.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture) + " ms",
        answer.TokensPerSecond.ToString("0", CultureInfo.InvariantCulture),
        answer.PromptTokens.ToString(CultureInfo.InvariantCulture),
        answer.CachedTokens.ToString(CultureInfo.InvariantCulture),
        answer.Text == reference.Text ? "yes" : "NO");

    private async Task<Answer> AskAsync(string model, string tenant, string prompt, Action<string>? show, CancellationToken stop)
    {
        var body = new JsonObject
        {
            ["model"] = model,
            ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = prompt }),
            ["max_tokens"] = MaxTokens,
            ["temperature"] = 0,
            ["stream"] = true,
            ["stream_options"] = new JsonObject { ["include_usage"] = true },
        };
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("v1/chat/completions", UriKind.Relative)) { Content = JsonContent.Create(body) };
        request.Headers.Add("X-Moebius-Tenant", tenant);
        var clock = Stopwatch.StartNew();
        using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
            throw new HttpRequestException($"the server answered {(int)response.StatusCode}: {await response.Content.ReadAsStringAsync(stop).ConfigureAwait(false)}");

        var text = new System.Text.StringBuilder();
        TimeSpan? first = null;
        var last = TimeSpan.Zero;
        JsonNode? usage = null;
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(stop).ConfigureAwait(false));
        while (await reader.ReadLineAsync(stop).ConfigureAwait(false) is { } line)
        {
            if (!line.StartsWith("data: ", StringComparison.Ordinal) || line == "data: [DONE]")
                continue;
            var chunk = JsonNode.Parse(line[6..])!;
            if (chunk["error"] is { } error)
                throw new HttpRequestException($"the server ended its answer: {error["message"]}");
            usage = chunk["usage"] ?? usage;
            var piece = chunk["choices"] is JsonArray { Count: > 0 } choices ? choices[0]?["delta"]?["content"]?.GetValue<string>() : null;
            if (string.IsNullOrEmpty(piece))
                continue;
            last = clock.Elapsed;
            first ??= last;
            text.Append(piece);
            show?.Invoke(piece);
        }

        return new Answer(
            text.ToString(),
            first ?? clock.Elapsed,
            last,
            usage?["prompt_tokens"]?.GetValue<int>() ?? 0,
            usage?["completion_tokens"]?.GetValue<int>() ?? 0,
            usage?["prompt_tokens_details"]?["cached_tokens"]?.GetValue<int>() ?? 0);
    }

    private static double Sum(string metrics, string name) => Sample().Matches(metrics)
        .Where(sample => sample.Groups[1].Value == name)
        .Sum(sample => double.Parse(sample.Groups[2].Value, CultureInfo.InvariantCulture));

    [GeneratedRegex(@"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{[^}]*\})? ([-+0-9.eE]+)$", RegexOptions.Multiline)]
    private static partial Regex Sample();

    private sealed record Answer(string Text, TimeSpan FirstToken, TimeSpan LastToken, int PromptTokens, int CompletionTokens, int CachedTokens)
    {
        public double TokensPerSecond => CompletionTokens > 1 ? (CompletionTokens - 1) / Math.Max(1e-9, (LastToken - FirstToken).TotalSeconds) : 0;
    }
}
