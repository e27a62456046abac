using System.Text;
using Grpc.Core;
using Microsoft.Extensions.Time.Testing;
using Moebius.Kvcache.V1;

namespace Moebius.KvCache.Tests.Service;

/// <summary>What a tenant could watch besides hit and miss.</summary>
[Trait("Category", "Component")]
public sealed class SideChannelTests
{
    private const string Cleared = "Explain how a motor works, in simple words.\n";

    [Fact]
    public async Task A_prober_loses_sight_of_what_it_probed_and_of_everybody_else()
    {
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy("classifier: {type: BuiltIn}\n  monitor: {minHits: 10}"));
        using var client = await server.Connect().AttachAsync();
        var blocks = Cleared.Length / TestServer.BlockTokens;
        await client.CacheAsync("alice", Cleared);
        await server.ClassifiedAsync();
        var seen = new List<int>();
        for (var hit = 0; hit < 15; hit++)
            seen.Add(await client.HitsAsync("mallory", Cleared));
        Assert.Equal(blocks, seen[0]);
        Assert.Equal(0, seen[^1]);
        Assert.Equal(0, await client.HitsAsync("bob", Cleared));
        Assert.Equal(blocks, await client.HitsAsync("alice", Cleared));
        Assert.Equal(1, server.Server.Metrics.ProbingVerdicts.Value);

        // Isolated: what others share is not shown to it either.
        await client.CacheAsync("carol", "Summarize the history of tea in two sentences.\n\n");
        await server.ClassifiedAsync();
        Assert.Equal(0, await client.HitsAsync("mallory", "Summarize the history of tea in two sentences.\n\n"));
        Assert.NotEqual(0, await client.HitsAsync("bob", "Summarize the history of tea in two sentences.\n\n"));
    }

    [Fact]
    public async Task Many_accounts_that_use_an_entry_are_no_probers()
    {
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy("classifier: {type: BuiltIn}\n  monitor: {minHits: 10}"));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Cleared);
        await server.ClassifiedAsync();
        for (var hit = 0; hit < 40; hit++)
            Assert.NotEqual(0, await client.HitsAsync($"tenant-{hit % 20}", Cleared));
        Assert.Equal(0, server.Server.Metrics.ProbingVerdicts.Value);
    }

    [Fact]
    public async Task What_many_used_before_one_account_hammers_it_stays_public()
    {
        var time = new FakeTimeProvider();
        await using var server = await TestServer.StartAsync(slots: 128, Policy("classifier: {type: BuiltIn}\n  monitor: {minHits: 10, window: 60s}"), time);
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Cleared);
        await Eventually.TrueAsync(() =>
        {
            time.Advance(TimeSpan.FromMilliseconds(1));
            return server.Server.Store.PendingClassifications == 0;
        });
        for (var user = 0; user < 9; user++)
            Assert.NotEqual(0, await client.HitsAsync($"tenant-{user}", Cleared));
        time.Advance(TimeSpan.FromSeconds(60));
        for (var hit = 0; hit < 30; hit++)
            await client.HitsAsync("mallory", Cleared);
        Assert.Equal(1, server.Server.Metrics.ProbingVerdicts.Value);
        Assert.Equal(0, await client.HitsAsync("mallory", Cleared));
        Assert.NotEqual(0, await client.HitsAsync("bob", Cleared));
    }

    [Fact]
    public async Task What_an_isolated_account_commits_is_shown_to_nobody_else()
    {
        const string Guessed = "Summarize the history of tea in two sentences.\n\n";
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy("classifier: {type: BuiltIn}\n  monitor: {minHits: 10}"));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Cleared);
        await server.ClassifiedAsync();
        for (var hit = 0; hit < 15; hit++)
            await client.HitsAsync("mallory", Cleared);
        await client.CacheAsync("mallory", Guessed);
        await server.ClassifiedAsync();
        Assert.Equal((0, Guessed.Length / TestServer.BlockTokens), (await client.HitsAsync("bob", Guessed), await client.HitsAsync("mallory", Guessed)));
    }

    [Fact]
    public async Task Metrics_and_errors_name_no_tenant_and_quote_no_text()
    {
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy("classifier: {type: BuiltIn}"));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("tenant-of-interest", "My name is Marianne Oldfield.\n" + Cleared);
        await server.ClassifiedAsync();
        using var page = new MemoryStream();
        await server.Server.Metrics.Registry.CollectAndExportAsTextAsync(page);
        var text = Encoding.UTF8.GetString(page.ToArray());
        Assert.Contains("moebius_kvcache_passages_total", text, StringComparison.Ordinal);
        Assert.DoesNotContain("interest", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Marianne", text, StringComparison.Ordinal);

        var reserved = await client.ReserveAsync("tenant-of-interest", 1);
        var foreign = await Refusal(client, reserved[0]);
        var free = await Refusal(client, new Slot(reserved[0]) { Index = reserved[0].Index + 1 });
        Assert.Equal(Template(foreign, reserved[0].Index), Template(free, reserved[0].Index + 1));
    }

    [Fact]
    public async Task What_one_tenant_does_in_its_quota_takes_nothing_from_another()
    {
        await using var server = await TestServer.StartAsync(slots: 64, policy: Policy("retention: {maxTenantPercent: 50}"));
        using var client = await server.Connect().AttachAsync();
        const string small = "a few blocks of bob, kept. ";
        await client.CacheAsync("bob", small);
        var own = await client.HitsAsync("bob", small);
        for (var round = 0; round < 8; round++)
        {
            await client.CacheAsync("mallory", $"{round} pushes {new string((char)('a' + round), 90)}");
            Assert.Equal(own, await client.HitsAsync("bob", small));
        }
    }

    private static string Template(string error, uint slot) => error.Replace($"slot {slot} ", "slot N ", StringComparison.Ordinal);

    private static async Task<string> Refusal(TestClient client, Slot slot)
    {
        var error = await Assert.ThrowsAsync<RpcException>(async () => await client.Api.CommitAsync(client.Commit("mallory", "1234", 0, [slot])));
        return error.Status.Detail;
    }

    private static string Policy(string spec) =>
        $"apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata:\n  name: test\nspec:\n  {spec}\n  promotion: {{maxDelay: 1ms}}\n";
}
