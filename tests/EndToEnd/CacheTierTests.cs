using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Moebius.KvCache.Tests.Tiers;

namespace Moebius.EndToEnd;

/// <summary>Blocks that come from a disk, from another process or from another tenant change no answer.</summary>
[Trait("Category", "Component")]
public sealed class CacheTierTests : IDisposable
{
    private const string Declared =
        "You are the narrator of a novel about the families of a small county, their balls and visits, their letters and walks, and the fortunes and tempers of their sons and daughters. "
        + "You tell what they say to one another, and what they think and do not say, in long and quiet sentences. Here is how a chapter begins, and you go on from there: ";

    private static readonly string[] Prompts =
    [
        Declared + "It was the custom of the family to sit together in the evening, and Mr. Bennet, who had been reading by the fire, put down his book and said to his wife,",
        Declared + "The morning was so fine that the two sisters walked to the village, where they met the colonel, who had come from town the day before with his friend, and",
        Declared + "When the letter had been read aloud, nobody spoke for some minutes; at last the eldest of them rose from her chair, went to the window, and began to say that",
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory("moebius-tiers-").FullName;
    private readonly HttpClient _server = new() { BaseAddress = new Uri($"http://127.0.0.1:{MoebiusProcess.FreePort()}") };
    private readonly HttpClient _sidecar = new() { BaseAddress = new Uri($"http://127.0.0.1:{MoebiusProcess.FreePort()}") };

    private string Socket => Path.Combine(_folder, "kv.sock");

    public void Dispose()
    {
        _server.Dispose();
        _sidecar.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public Task Those_of_a_disk() => SameAnswersAsync("ssd", "--ssd", Path.Combine(_folder, "ssd"), "--ssd-size", "64Mi");

    [Fact]
    public async Task Those_of_a_server_between_pods()
    {
        using var peer = await PeerServer.StartAsync("redis-server");
        await SameAnswersAsync("shared", "--shared", peer.Address);
    }

    private async Task SameAnswersAsync(string tier, params string[] arguments)
    {
        var key = Path.Combine(_folder, "key");
        await File.WriteAllBytesAsync(key, RandomNumberGenerator.GetBytes(32));
        var policy = Path.Combine(_folder, "policy.yaml");
        await File.WriteAllTextAsync(policy, $$"""
            apiVersion: moebius.dev/v1alpha1
            kind: KVPrivacyPolicy
            metadata: {name: p}
            spec:
              publicPrefixes: [{name: narrator, text: "{{Declared}}"}]
              promotion: {maxDelay: 1ms}
              encryption: {secretRef: {name: a, key: b}, sharePrivate: true}
            """);

        // What the model says without any cache.
        var alone = new Dictionary<string, string>();
        using (var server = Serve())
        {
            await server.ReadyAsync(_server);
            foreach (var prompt in Prompts)
                alone[prompt] = (await CompleteAsync(prompt, "alice")).Text;
        }

        // Room for fewer blocks than the prompts and their answers take.
        string[] sidecarArguments =
        [
            "kvcache", "serve", "--socket", Socket, "--arena", Path.Combine(_folder, "arena"), "--arena-size", "512Ki", "--policy", policy,
            "--encryption-key", key, "--listen", _sidecar.BaseAddress!.Authority, .. arguments,
        ];
        using var engine = Serve("--kv-socket", Socket);
        for (var life = 0; life < 2; life++)
        {
            using var sidecar = MoebiusProcess.Start(sidecarArguments);
            await sidecar.ReadyAsync(_sidecar);
            await engine.ReadyAsync(_server);
            await Eventually.TrueAsync(async () => await SumAsync(_server, "moebius_prefix_cache_connected") == 1);
            // The first time Alice's prompts are computed, but for what is declared.
            await AskAsync("alice", life == 0 ? 0 : 2);
            // Bob may have what is declared, whoever computed it, and what he has asked himself.
            await AskAsync("bob", 1);
            await AskAsync("alice", 2);
            await AskAsync("bob", 2);
            Assert.True(await SumAsync(_sidecar, "moebius_kvcache_tier_staged_blocks_total") > 0, tier);
            Assert.True(await SumAsync(_sidecar, "moebius_kvcache_evicted_blocks_total") > 0, tier);
            sidecar.Signal(15);
            var (code, output, error) = await sidecar.EndAsync(Eventually.Limit);
            Assert.True(code == 0, output + error);
            Assert.DoesNotContain("fail:", output, StringComparison.Ordinal);
        }

        // Each answer is as without a cache, and is asked for until as much of its prompt is found as there should be.
        async Task AskAsync(string tenant, int found)
        {
            foreach (var prompt in Prompts)
            {
                await Eventually.TrueAsync(async () =>
                {
                    var (text, prompted, cached) = await CompleteAsync(prompt, tenant);
                    Assert.Equal(alone[prompt], text);
                    // 1: something; 2: more than what is declared, which is some two thirds of the tokens.
                    return found switch { 0 => true, 1 => cached > 0, _ => cached * 4 > prompted * 3 };
                });
            }
        }
    }

    private MoebiusProcess Serve(params string[] more) =>
        MoebiusProcess.Start(["serve", "--model", "samples/models/austen-moe", "--threads", "1", "--listen", _server.BaseAddress!.Authority, .. more]);

    private async Task<(string Text, int Prompted, int Cached)> CompleteAsync(string prompt, string tenant)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("v1/completions", UriKind.Relative))
        {
            Content = JsonContent.Create(new { model = "austen-moe", prompt, max_tokens = 24, temperature = 0, ignore_eos = true }),
        };
        request.Headers.Add("X-Moebius-Tenant", tenant);
        using var response = await _server.SendAsync(request);
        response.EnsureSuccessStatusCode();
        var answer = (await response.Content.ReadFromJsonAsync<JsonObject>())!;
        var usage = answer["usage"]!;
        return ((string)answer["choices"]![0]!["text"]!, (int)usage["prompt_tokens"]!, (int?)usage["prompt_tokens_details"]?["cached_tokens"] ?? 0);
    }

    private static async Task<double> SumAsync(HttpClient http, string name) =>
        (await http.GetStringAsync(new Uri("metrics", UriKind.Relative))).Split('\n')
            .Where(line => line.StartsWith(name + " ", StringComparison.Ordinal) || line.StartsWith(name + "{", StringComparison.Ordinal))
            .Sum(static line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture));
}
