using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.KubernetesEnvironment;

namespace Moebius.Bench.KvCache;

/// <summary>What one request took and got.</summary>
/// <param name="FirstToken">Milliseconds until the first token arrived.</param>
/// <param name="Text">All that was generated.</param>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CachedTokens">How many of them came from the cache.</param>
internal sealed record Answer(double FirstToken, string Text, int PromptTokens, int CachedTokens);

/// <summary>A real server with a real sidecar under one sharing mode, and a client that remembers its chats.</summary>
internal sealed class ChatMode : IAsyncDisposable
{
    private readonly DirectoryInfo _folder;
    private readonly ProductProcess _sidecar;
    private readonly ProductProcess _server;
    private readonly HttpClient _client;
    private readonly IReadOnlyList<string> _systems;
    private readonly Dictionary<int, List<(string Role, string Text)>> _chats = [];

    private ChatMode(DirectoryInfo folder, ProductProcess sidecar, ProductProcess server, HttpClient client, IReadOnlyList<string> systems)
    {
        _folder = folder;
        _sidecar = sidecar;
        _server = server;
        _client = client;
        _systems = systems;
    }

    public static async Task<ChatMode> StartAsync(string mode, IReadOnlyList<string> systems, params string[] serve)
    {
        var folder = MemoryFolder.Create();
        var policy = Path.Combine(folder.FullName, "policy.json");
        // JSON is YAML too. Only SafeKV reads the declarations; the other modes get them all the same.
        await File.WriteAllTextAsync(policy, new JsonObject
        {
            ["apiVersion"] = "moebius.dev/v1alpha1",
            ["kind"] = "KVPrivacyPolicy",
            ["metadata"] = new JsonObject { ["name"] = "bench" },
            ["spec"] = new JsonObject
            {
                ["mode"] = mode,
                ["identity"] = new JsonObject { ["tenantHeader"] = "X-Moebius-Tenant" },
                ["publicPrefixes"] = new JsonArray([.. systems.Select((text, number) => new JsonObject
                {
                    ["name"] = "system-" + number.ToString(CultureInfo.InvariantCulture),
                    ["text"] = text + "\n",
                })]),
            },
        }.ToJsonString());
        var socket = Path.Combine(folder.FullName, "kv.sock");
        var port = LoopbackPorts.Take();
        var sidecar = ProductProcess.Start("kvcache", "serve", "--socket", socket, "--arena", folder.FullName, "--arena-size", "512Mi", "--policy", policy);
        await sidecar.SaysAsync("Serving on");
        var server = ProductProcess.Start(
            ["serve", "--model", Path.Combine("samples", "models", "austen-moe"), "--listen", $"127.0.0.1:{port}", "--kv-socket", socket, "--policy", policy, .. serve]);
        await server.SaysAsync("The prefix cache is connected");
        var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromMinutes(1) };
        for (var patience = Stopwatch.StartNew(); (await client.GetAsync("/readyz")).StatusCode != HttpStatusCode.OK; await Task.Delay(20))
        {
            if (patience.Elapsed > TimeSpan.FromMinutes(1))
                throw new InvalidOperationException("the server does not become ready");
        }

        return new ChatMode(folder, sidecar, server, client, systems);
    }

    /// <summary>Sends a turn after the earlier turns of its chat.</summary>
    public async Task<Answer> AskAsync(Turn turn, int maxTokens)
    {
        List<(string Role, string Text)> chat;
        lock (_chats)
        {
            if (!_chats.TryGetValue(turn.Chat, out chat!))
                _chats[turn.Chat] = chat = [("system", _systems[turn.System])];
        }

        chat.Add(("user", turn.Text));
        var answer = await SendAsync($"tenant-{turn.Tenant}", chat, maxTokens);
        chat.Add(("assistant", answer.Text));
        return answer;
    }

    public async Task<Answer> SendAsync(string tenant, IEnumerable<(string Role, string Text)> messages, int maxTokens)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions")
        {
            Content = JsonContent.Create(new JsonObject
            {
                ["model"] = "austen-moe",
                ["stream"] = true,
                ["stream_options"] = new JsonObject { ["include_usage"] = true },
                ["temperature"] = 0,
                ["max_tokens"] = maxTokens,
                ["messages"] = new JsonArray([.. messages.Select(message => new JsonObject { ["role"] = message.Role, ["content"] = message.Text })]),
            }),
        };
        request.Headers.Add("X-Moebius-Tenant", tenant);
        var begun = Stopwatch.GetTimestamp();
        using var response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException($"{(int)response.StatusCode}: {await response.Content.ReadAsStringAsync()}");
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync());
        var (first, text, prompt, cached) = (0.0, "", 0, 0);
        while (await lines.ReadLineAsync() is { } line && line != "data: [DONE]")
        {
            if (!line.StartsWith("data: ", StringComparison.Ordinal))
                continue;
            using var chunk = JsonDocument.Parse(line.AsMemory(6));
            foreach (var choice in chunk.RootElement.GetProperty("choices").EnumerateArray())
            {
                var piece = choice.GetProperty("delta").TryGetProperty("content", out var content) ? content.GetString() ?? "" : "";
                // The opening chunk, which names the role, has no text.
                if (first == 0 && (piece.Length > 0 || choice.GetProperty("finish_reason").ValueKind == JsonValueKind.String))
                    first = Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
                text += piece;
            }

            if (chunk.RootElement.TryGetProperty("usage", out var usage) && usage.ValueKind == JsonValueKind.Object)
            {
                prompt = usage.GetProperty("prompt_tokens").GetInt32();
                cached = usage.GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32();
            }
        }

        return first > 0 && prompt > 0 ? new Answer(first, text, prompt, cached) : throw new InvalidOperationException("an answer has no token or no usage");
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _server.DisposeAsync();
        await _sidecar.DisposeAsync();
        _folder.Delete(recursive: true);
    }
}
