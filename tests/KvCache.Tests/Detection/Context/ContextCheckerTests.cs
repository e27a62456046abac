using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Time.Testing;
using Moebius.KvCache.Detection.Context;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Tests.Detection.Context;

public sealed class ContextCheckerTests
{
    private static readonly TenantKey Alice = new(1, 2);
    private static readonly TenantKey Bob = new(1, 3);

    [Fact]
    public async Task A_verdict_about_one_tenants_passage_is_none_about_anothers()
    {
        await using var server = await ContextServer.StartAsync();
        var gate = new TaskCompletionSource();
        server.Say = async _ =>
        {
            await gate.Task;
            return ContextServer.Verdict(false);
        };
        using var checker = Checker(server);
        // Neither while it is asked about nor afterwards.
        var verdicts = new[] { Alice, Bob, Alice }.Select(tenant => checker.IsPrivateAsync(tenant, "", "same", CancellationToken.None)).ToArray();
        await Eventually.TrueAsync(() => server.Requests.Count == 2);
        gate.SetResult();
        Assert.All(await Task.WhenAll(verdicts), verdict => Assert.False(verdict));
        Assert.False(await checker.IsPrivateAsync(Bob, "", "same", CancellationToken.None));
        Assert.Equal(2, server.Requests.Count);
        Assert.False(await checker.IsPrivateAsync(new TenantKey(0, 2), "", "same", CancellationToken.None));
        Assert.Equal(3, server.Requests.Count);
    }

    [Fact]
    public async Task A_verdict_is_asked_for_once_with_a_strict_schema_and_no_text_is_kept()
    {
        await using var server = await ContextServer.StartAsync();
        using var checker = Checker(server, key: "k-1");
        Assert.True(await checker.IsPrivateAsync(Alice, "before", "a secret", CancellationToken.None));
        Assert.True(await checker.IsPrivateAsync(Alice, "before", "a secret", CancellationToken.None));
        Assert.False(await checker.IsPrivateAsync(Alice, "before", "the weather", CancellationToken.None));
        Assert.Equal(2, server.Requests.Count);
        Assert.All(server.Authorizations, header => Assert.Equal("Bearer k-1", header));
        var request = server.Requests.First();
        Assert.True(request["response_format"]!["json_schema"]!["strict"]!.GetValue<bool>());
        Assert.Equal("m", request["model"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("yes")]
    [InlineData("""{"private": false}""")]
    [InlineData("""{"private": "false", "category": "none"}""")]
    [InlineData("""{"private": false, "category": "fine"}""")]
    [InlineData("""{"private": false, "category": "health"}""")]
    [InlineData("""{"private": false, "category": "none", "note": "x"}""")]
    [InlineData("""[{"private": false, "category": "none"}]""")]
    [InlineData("""{"private": false, "category": "none"} and more""")]
    public async Task An_answer_that_keeps_not_to_the_schema_is_no_verdict_and_is_not_kept(string answer)
    {
        await using var server = await ContextServer.StartAsync();
        server.Say = _ => Task.FromResult(answer);
        using var checker = Checker(server);
        Assert.Null(await checker.IsPrivateAsync(Alice, "", "text", CancellationToken.None));
        server.Say = _ => Task.FromResult(ContextServer.Verdict(false));
        Assert.False(await checker.IsPrivateAsync(Alice, "", "text", CancellationToken.None));
    }

    [Fact]
    public async Task Nobody_is_asked_whom_the_policy_does_not_name()
    {
        await using var server = await ContextServer.StartAsync();
        await using var other = await ContextServer.StartAsync();
        server.Respond = (context, _) =>
        {
            context.Response.StatusCode = 307;
            context.Response.Headers.Location = other.Url + "/chat/completions";
            return Task.CompletedTask;
        };
        using var checker = Checker(server);
        Assert.Null(await checker.IsPrivateAsync(Alice, "", "the weather", CancellationToken.None));
        Assert.Empty(other.Requests);
    }

    [Fact]
    public async Task Errors_redirects_and_floods_are_no_verdict()
    {
        await using var server = await ContextServer.StartAsync();
        using var checker = Checker(server);
        foreach (var (passage, status) in new[] { ("error", 500), ("redirect", 307), ("refused", 401) })
        {
            server.Respond = (context, _) =>
            {
                context.Response.StatusCode = status;
                context.Response.Headers.Location = server.Url + "/elsewhere";
                return Task.CompletedTask;
            };
            Assert.Null(await checker.IsPrivateAsync(Alice, "", passage, CancellationToken.None));
        }

        server.Respond = (context, _) => context.Response.WriteAsync(new string('x', 1 << 20));
        Assert.Null(await checker.IsPrivateAsync(Alice, "", "flood", CancellationToken.None));
    }

    [Fact]
    public async Task A_model_that_does_not_answer_in_time_gives_no_verdict()
    {
        await using var server = await ContextServer.StartAsync();
        var arrived = new TaskCompletionSource();
        var never = new TaskCompletionSource<string>();
        server.Say = _ =>
        {
            arrived.TrySetResult();
            return never.Task;
        };
        var time = new FakeTimeProvider();
        using var checker = Checker(server, time: time);
        var verdict = checker.IsPrivateAsync(Alice, "", "text", CancellationToken.None);
        await arrived.Task;
        time.Advance(TimeSpan.FromSeconds(11));
        Assert.Null(await verdict);
        never.SetResult("");
    }

    [Fact]
    public async Task Calls_are_bounded_and_equal_questions_are_one()
    {
        await using var server = await ContextServer.StartAsync();
        var (running, most) = (0, 0);
        var gate = new TaskCompletionSource();
        server.Say = async _ =>
        {
            InterlockedMax(ref most, Interlocked.Increment(ref running));
            await gate.Task;
            Interlocked.Decrement(ref running);
            return ContextServer.Verdict(false);
        };
        using var checker = Checker(server);
        var same = Enumerable.Range(0, 20).Select(_ => checker.IsPrivateAsync(Alice, "", "same", CancellationToken.None));
        var verdicts = same.Concat(Enumerable.Range(0, 20).Select(number => checker.IsPrivateAsync(Alice, "", $"text {number}", CancellationToken.None))).ToArray();
        gate.SetResult();
        Assert.All(await Task.WhenAll(verdicts), verdict => Assert.False(verdict));
        Assert.Equal(21, server.Requests.Count);
        Assert.InRange(most, 1, ContextChecker.MaxCalls);
    }

    [Fact]
    public async Task A_tenant_with_many_questions_leaves_room_for_anothers()
    {
        await using var server = await ContextServer.StartAsync();
        var gate = new TaskCompletionSource();
        server.Say = async _ =>
        {
            await gate.Task;
            return ContextServer.Verdict(false);
        };
        using var checker = Checker(server, time: new FakeTimeProvider());
        var crowd = Enumerable.Range(0, 2 * ContextChecker.MaxPending).Select(number => checker.IsPrivateAsync(Alice, "", $"text {number}", CancellationToken.None)).ToArray();
        var other = checker.IsPrivateAsync(Bob, "", "text", CancellationToken.None);
        gate.SetResult();
        Assert.False(await other);
        Assert.Contains(null, await Task.WhenAll(crowd));
    }

    [Fact]
    public async Task A_tenant_with_many_questions_takes_turns_with_another()
    {
        await using var server = await ContextServer.StartAsync();
        var gate = new TaskCompletionSource();
        server.Say = async _ =>
        {
            await gate.Task;
            return ContextServer.Verdict(false);
        };
        using var checker = Checker(server, time: new FakeTimeProvider());
        var crowd = Enumerable.Range(0, 100).Select(number => checker.IsPrivateAsync(Alice, "", $"text {number}", CancellationToken.None)).ToArray();
        await Eventually.TrueAsync(() => server.Requests.Count == ContextChecker.MaxCalls);
        var other = checker.IsPrivateAsync(Bob, "", "other", CancellationToken.None);
        gate.SetResult();
        Assert.All(await Task.WhenAll([.. crowd, other]), static verdict => Assert.False(verdict));
        var before = server.Requests.TakeWhile(static request => !request["messages"]![1]!["content"]!.GetValue<string>().Contains("other", StringComparison.Ordinal)).Count();
        // Those that were under way, and what begins with it.
        Assert.InRange(before, ContextChecker.MaxCalls, (2 * ContextChecker.MaxCalls) + 1);
    }

    [Fact]
    public void The_oldest_used_verdict_goes_first()
    {
        var cache = new VerdictCache(2);
        var keys = new[] { "a", "b", "c" }.Select(text => cache.KeyOf(Alice, "", text)).ToArray();
        cache.Add(keys[0], true);
        cache.Add(keys[1], false);
        Assert.True(cache.TryGet(keys[0], out var isPrivate) && isPrivate);
        cache.Add(keys[2], false);
        Assert.Equal((true, false, true, 2), (cache.TryGet(keys[0], out _), cache.TryGet(keys[1], out _), cache.TryGet(keys[2], out _), cache.Count));
        Assert.NotEqual(cache.KeyOf(Alice, "a", "b"), cache.KeyOf(Alice, "", "ab"));
        Assert.NotEqual(cache.KeyOf(Alice, "", "a"), new VerdictCache(2).KeyOf(Alice, "", "a"));
    }

    private static ContextChecker Checker(ContextServer server, string? key = null, TimeProvider? time = null) =>
        new(new ContextCheckSettings(server.Url, "m", key is not null, TimeSpan.FromSeconds(10), 100), key, new CacheMetrics(), time ?? TimeProvider.System);

    private static void InterlockedMax(ref int target, int value)
    {
        for (var seen = Volatile.Read(ref target); seen < value; seen = Volatile.Read(ref target))
            Interlocked.CompareExchange(ref target, value, seen);
    }
}
