using Moebius.Kvcache.V1;
using Moebius.KvCache.Tests.Detection.Context;

namespace Moebius.KvCache.Tests.Service;

/// <summary>What the tiers above the rules clear becomes public, and nothing else.</summary>
[Trait("Category", "Component")]
public sealed class PromotionTests
{
    private const string Harmless = "Explain how a motor works, in simple words.\n";
    private const string Personal = "My name is Marianne Oldfield and I need help.\n";

    [Fact]
    public async Task Harmless_text_is_shared_once_it_is_cleared_and_personal_text_never_is()
    {
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy("classifier: {type: BuiltIn}"));
        using var client = await server.Connect().AttachAsync();
        const string prompt = Harmless + Personal + Harmless;
        await client.CacheAsync("alice", prompt);
        // Its own tenant does not wait for the verdict.
        Assert.Equal(prompt.Length / TestServer.BlockTokens, await client.HitsAsync("alice", prompt));
        await server.ClassifiedAsync();
        Assert.Equal(Harmless.Length / TestServer.BlockTokens, await client.HitsAsync("bob", prompt));
        Assert.Equal(prompt.Length / TestServer.BlockTokens, await client.HitsAsync("alice", prompt));
    }

    [Fact]
    public async Task A_conversation_is_cleared_as_it_grows_and_stops_at_the_first_private_passage()
    {
        await using var server = await TestServer.StartAsync(slots: 256, policy: Policy("classifier: {type: BuiltIn}"));
        using var client = await server.Connect().AttachAsync();
        var prompt = "";
        foreach (var turn in (string[])[Harmless + "What is infla", "tion? Why is it important?\n", "Summarize this. My name is Mari", "anne Oldfield.\n", Harmless, Harmless])
        {
            prompt += turn;
            await client.CacheAsync("alice", prompt);
            await server.ClassifiedAsync();
        }

        // The passage begins with the space behind the sentence before it.
        var cleared = prompt.IndexOf(" My name", StringComparison.Ordinal) / TestServer.BlockTokens;
        Assert.Equal(cleared, await client.HitsAsync("bob", prompt));
        Assert.Equal(prompt.Length / TestServer.BlockTokens, await client.HitsAsync("alice", prompt));
    }

    [Fact]
    public async Task An_anonymous_request_leaves_what_is_cleared_and_nothing_else()
    {
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy("classifier: {type: BuiltIn}"));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("7f1", Harmless + Personal, anonymous: true);
        await server.ClassifiedAsync();
        var stats = await client.Api.StatsAsync(new StatsRequest());
        Assert.Equal((0ul, (ulong)(Harmless.Length / TestServer.BlockTokens)), (stats.BlocksPrivate, stats.BlocksPublic));
    }

    [Fact]
    public async Task What_tier_2_leaves_open_is_decided_by_tier_3()
    {
        await using var model = await ContextServer.StartAsync();
        // Nothing is certain for the classifier, so everything is asked.
        var spec = $"classifier: {{type: BuiltIn, publicBelowPercent: 0, privateAbovePercent: 100}}\n  contextCheck: {{endpoint: {{url: '{model.Url}', model: m}}}}";
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy(spec));
        using var client = await server.Connect().AttachAsync();
        const string prompt = "The first is fine.\nThis one is a secret.\nThe last is fine.\n";
        await client.CacheAsync("alice", prompt);
        await server.ClassifiedAsync();
        Assert.Equal("The first is fine.\n".Length / TestServer.BlockTokens, await client.HitsAsync("bob", prompt));
        Assert.Equal(prompt.Length / TestServer.BlockTokens, await client.HitsAsync("alice", prompt));

        // Without an answer it stays private. (A text that ends inside a block would do so in any case.)
        const string unanswered = "Nobody has an opinion about theirs.\n";
        Assert.Equal(0, unanswered.Length % TestServer.BlockTokens);
        model.Respond = (context, _) => Task.CompletedTask;
        await client.CacheAsync("alice", unanswered);
        await server.ClassifiedAsync();
        Assert.Equal(0, await client.HitsAsync("bob", unanswered));
    }

    [Fact]
    public async Task What_tier_3_said_about_one_tenants_passage_is_not_known_to_another()
    {
        await using var model = await ContextServer.StartAsync();
        var spec = $"classifier: {{type: BuiltIn, publicBelowPercent: 0, privateAbovePercent: 100}}\n  contextCheck: {{endpoint: {{url: '{model.Url}', model: m}}}}";
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy(spec));
        using var client = await server.Connect().AttachAsync();
        foreach (var (tenant, asked) in new[] { ("alice", 1), ("bob", 2) })
        {
            await client.CacheAsync(tenant, "This one is the secret.\n");
            await server.ClassifiedAsync();
            Assert.Equal(asked, model.Requests.Count);
        }
    }

    [Theory]
    [InlineData("mode: SafeKV", "Mail me: jane.roe@example.org, any time.", "rules")]
    [InlineData("classifier: {type: BuiltIn}", Harmless + Personal + Harmless, "classifier")]
    [InlineData("classifier: {type: BuiltIn, publicBelowPercent: 0}", Harmless, "classifier")]
    [InlineData("classifier: {type: BuiltIn}", Personal + "Mail me: jane.roe@example.org, any time.\n", "classifier")]
    [InlineData("classifier: {type: BuiltIn}", "Mail me: jane.roe@example.org, any time.\n" + Personal, "rules")]
    [InlineData("classifier: {type: BuiltIn, publicBelowPercent: 0, privateAbovePercent: 100}\n  contextCheck: {endpoint: {url: 'URL', model: m}}", "This one is the secret.\n", "context")]
    public async Task A_private_verdict_is_counted_by_the_tier_of_its_first_cause(string spec, string prompt, string reason)
    {
        await using var model = await ContextServer.StartAsync();
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy(spec.Replace("URL", model.Url, StringComparison.Ordinal)));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", prompt);
        await server.ClassifiedAsync();
        Assert.Equal(
            [("rules", reason == "rules" ? 1d : 0), ("classifier", reason == "classifier" ? 1d : 0), ("context", reason == "context" ? 1d : 0)],
            ((string[])["rules", "classifier", "context"]).Select(tier => (tier, server.Server.Metrics.PrivateVerdicts.WithLabels(tier).Value)));
    }

    [Fact]
    public async Task Tier_3_is_not_told_what_is_private_nor_what_follows_it()
    {
        await using var model = await ContextServer.StartAsync();
        var spec = $"classifier: {{type: BuiltIn, publicBelowPercent: 0, privateAbovePercent: 60}}\n  contextCheck: {{endpoint: {{url: '{model.Url}', model: m}}}}";
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy(spec));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Harmless + Personal + "Nobody has an opinion about this.\n");
        await server.ClassifiedAsync();
        Assert.Contains("motor", Assert.Single(model.Requests).ToJsonString(), StringComparison.Ordinal);
        Assert.Equal(Harmless.Length / TestServer.BlockTokens, await client.HitsAsync("bob", Harmless + Personal));
    }

    [Fact]
    public async Task What_a_classifier_cleared_goes_back_when_the_policy_has_another_one()
    {
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy("classifier: {type: BuiltIn}"));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("alice", Harmless);
        await server.ClassifiedAsync();
        Assert.Equal(Harmless.Length / TestServer.BlockTokens, await client.HitsAsync("bob", Harmless));
        await File.WriteAllTextAsync(server.Options.PolicyPath!, Policy("classifier: {type: BuiltIn, publicBelowPercent: 5}"));
        server.Server.Policy.Poll();
        Assert.Equal(0, await client.HitsAsync("bob", Harmless));
        Assert.Equal(Harmless.Length / TestServer.BlockTokens, await client.HitsAsync("alice", Harmless));
    }

    [Fact]
    public async Task A_verdict_under_a_policy_that_is_replaced_meanwhile_makes_nothing_public()
    {
        await using var model = await ContextServer.StartAsync();
        var spec = $"classifier: {{type: BuiltIn, publicBelowPercent: 0, privateAbovePercent: 100}}\n  contextCheck: {{endpoint: {{url: '{model.Url}', model: m}}}}";
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy(spec));
        using var client = await server.Connect().AttachAsync();
        model.Say = async _ =>
        {
            await File.WriteAllTextAsync(server.Options.PolicyPath!, Policy("classifier: {type: BuiltIn, publicBelowPercent: 5}"));
            server.Server.Policy.Poll();
            return ContextServer.Verdict(isPrivate: false);
        };
        await client.CacheAsync("alice", Harmless);
        await server.ClassifiedAsync();
        Assert.NotEmpty(model.Requests);
        Assert.Equal((0, Harmless.Length / TestServer.BlockTokens), (await client.HitsAsync("bob", Harmless), await client.HitsAsync("alice", Harmless)));
    }

    [Theory]
    [InlineData("classifier: {type: BuiltIn}")]
    [InlineData("mode: Share")]
    public async Task What_an_anonymous_request_made_public_goes_when_the_policy_takes_it_back(string spec)
    {
        await using var server = await TestServer.StartAsync(slots: 128, policy: Policy(spec));
        using var client = await server.Connect().AttachAsync();
        await client.CacheAsync("7f1", Harmless, anonymous: true);
        await server.ClassifiedAsync();
        Assert.Equal(Harmless.Length / TestServer.BlockTokens, await client.HitsAsync("bob", Harmless));
        await File.WriteAllTextAsync(server.Options.PolicyPath!, Policy("mode: Isolate"));
        server.Server.Policy.Poll();
        var stats = await client.Api.StatsAsync(new StatsRequest());
        Assert.Equal((0ul, 0ul), (stats.BlocksPrivate, stats.BlocksPublic));
    }

    private static string Policy(string spec) =>
        $"apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata:\n  name: test\n  generation: 1\nspec:\n  {spec}\n  promotion: {{maxDelay: 1ms}}\n";
}
