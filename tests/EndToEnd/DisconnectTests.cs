using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Moebius.EndToEnd;

/// <summary>Clients that go away in the middle, under load, of a server with its prefix cache.</summary>
[Trait("Category", "Component")]
public sealed partial class DisconnectTests : IDisposable
{
    private const int Clients = 96, AtOnce = 12, MostTokens = 120;

    private static readonly Uri Metrics = new("metrics", UriKind.Relative);

    private static readonly string[] Tenants = ["alice", "bob", "carol"];

    private static readonly string[] Prompts =
    [
        "It was the custom of the family to sit together in the evening, and Mr. Bennet, who had been reading by the fire, put down his book and said to his wife,",
        "The morning was so fine that the two sisters walked to the village, where they met the colonel, who had come from town the day before with his friend, and",
        "When the letter had been read aloud, nobody spoke for some minutes; at last the eldest of them rose from her chair, went to the window, and began to say that",
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory("moebius-disconnect-").FullName;
    private readonly HttpClient _server = new() { BaseAddress = new Uri($"http://127.0.0.1:{MoebiusProcess.FreePort()}") };
    private readonly HttpClient _sidecar = new() { BaseAddress = new Uri($"http://127.0.0.1:{MoebiusProcess.FreePort()}") };

    public void Dispose()
    {
        _server.Dispose();
        _sidecar.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task They_leave_no_block_pin_or_call_behind_and_change_no_answer()
    {
        var (socket, policy) = (Path.Combine(_folder, "kv.sock"), Path.Combine(_folder, "policy.yaml"));
        await File.WriteAllTextAsync(policy, "apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p}\nspec: {retention: {privateIdle: 2s}}\n");
        // Room for some 80 blocks, less than the prompts and answers take: blocks are evicted while others are pinned.
        using var sidecar = MoebiusProcess.Start("kvcache", "serve", "--socket", socket, "--arena", Path.Combine(_folder, "arena"), "--arena-size", "2Mi", "--policy", policy, "--listen", _sidecar.BaseAddress!.Authority);
        await sidecar.ReadyAsync(_sidecar);
        using var server = MoebiusProcess.Start("serve", "--model", "samples/models/austen-moe", "--kv-socket", socket, "--threads", "1", "--listen", _server.BaseAddress!.Authority);
        await server.ReadyAsync(_server);
        // Megabytes that only a server with a policy needs.
        Assert.DoesNotContain("KubernetesClient", server.Maps(), StringComparison.Ordinal);
        var calm = new Dictionary<string, string>();
        foreach (var prompt in Prompts)
            calm[prompt] = await CompleteAsync(prompt, Tenants[0]);

        var random = new Random(16);
        var behaviours = Enumerable.Range(0, Clients).Select(i => new Client(Prompts[i % Prompts.Length], Tenants[random.Next(Tenants.Length)], random.Next(4), random.Next(1, 40))).ToList();
        await Parallel.ForEachAsync(behaviours, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (client, _) => await VisitAsync(client, calm[client.Prompt]));

        await Eventually.EqualAsync((0d, 0d, 0d), async () => Values(await _server.GetStringAsync(Metrics), "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"));
        foreach (var prompt in Prompts)
            Assert.Equal(calm[prompt], await CompleteAsync(prompt, Tenants[1]));
        var used = await _sidecar.GetStringAsync(Metrics);
        Assert.True(Sum(used, "moebius_kvcache_hit_blocks_total", "") > 0 && Sum(used, "moebius_kvcache_evicted_blocks_total", "") > 0, used);

        // What nobody has used for a while goes, but for what a lease pins; what a reservation took comes back.
        await Eventually.EqualAsync((0d, 0d), async () => await _sidecar.GetStringAsync(Metrics) is var metrics ? (Sum(metrics, "moebius_kvcache_blocks", ""), Sum(metrics, "moebius_kvcache_slots", "used")) : default);
        foreach (var process in new[] { server, sidecar })
        {
            process.Signal(15);
            var (code, output, error) = await process.EndAsync(Eventually.Limit);
            Assert.True(code == 0, output + error);
            Assert.DoesNotContain("fail:", output, StringComparison.Ordinal);
            Assert.DoesNotContain("crit:", output, StringComparison.Ordinal);
        }
    }

    /// <summary>Goes away before an answer, after some pieces of one, or stays to its end.</summary>
    private async Task VisitAsync(Client client, string whole)
    {
        using var leave = new CancellationTokenSource();
        if (client.Kind == 0)
            leave.CancelAfter(client.Patience);
        try
        {
            using var request = Request(client.Prompt, client.Tenant, stream: true);
            using var response = await _server.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, leave.Token);
            response.EnsureSuccessStatusCode();
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(leave.Token));
            var text = "";
            var pieces = 0;
            while (await reader.ReadLineAsync(leave.Token) is { } line && line != "data: [DONE]")
            {
                if (!line.StartsWith("data: ", StringComparison.Ordinal))
                    continue;
                text += (string?)JsonNode.Parse(line["data: ".Length..])!["choices"]![0]!["text"];
                Assert.StartsWith(text, whole, StringComparison.Ordinal);
                if (client.Kind != 3 && ++pieces == client.Patience)
                    return;
            }

            Assert.Equal(whole, text);
        }
        catch (OperationCanceledException) when (leave.IsCancellationRequested)
        {
            // As it was to be.
        }
    }

    private async Task<string> CompleteAsync(string prompt, string tenant)
    {
        using var request = Request(prompt, tenant, stream: false);
        using var response = await _server.SendAsync(request);
        response.EnsureSuccessStatusCode();
        return (string)(await response.Content.ReadFromJsonAsync<JsonObject>())!["choices"]![0]!["text"]!;
    }

    private static HttpRequestMessage Request(string prompt, string tenant, bool stream)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri("v1/completions", UriKind.Relative))
        {
            Content = JsonContent.Create(new { model = "austen-moe", prompt, max_tokens = MostTokens, temperature = 0, ignore_eos = true, stream }),
        };
        request.Headers.Add("X-Moebius-Tenant", tenant);
        return request;
    }

    private static (double, double, double) Values(string metrics, string first, string second, string third) => (Sum(metrics, first, ""), Sum(metrics, second, ""), Sum(metrics, third, ""));

    /// <summary>Sum of a metric's samples whose labels contain a text.</summary>
    private static double Sum(string metrics, string name, string label)
    {
        var samples = Sample().Matches(metrics).Where(sample => sample.Groups[1].Value == name && sample.Groups[2].Value.Contains(label, StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(samples);
        return samples.Sum(sample => double.Parse(sample.Groups[3].Value, CultureInfo.InvariantCulture));
    }

    [GeneratedRegex(@"^([a-z_:]+)(\{.*\})? (\S+)$", RegexOptions.Multiline)]
    private static partial Regex Sample();

    /// <summary>What a client does.</summary>
    /// <param name="Prompt">What it asks.</param>
    /// <param name="Tenant">Whose it is.</param>
    /// <param name="Kind">0: goes after a time, whatever came; 1 and 2: after some pieces; 3: stays.</param>
    /// <param name="Patience">Milliseconds or pieces.</param>
    private sealed record Client(string Prompt, string Tenant, int Kind, int Patience);
}
