using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Engine;
using Moebius.Inference.Server;

namespace Moebius.Inference.Tests.Server;

[Trait("Category", "Component")]
public class TenantTests
{
    private const string Key = "0123456789abcdef0123456789abcdef";

    private static readonly SignatureSpec Signature = new() { SecretRef = new SecretKeyReference { Name = "gateway", Key = "hmac" } };

    [Fact]
    public void Every_anonymous_request_is_a_tenant_of_its_own()
    {
        var identity = new TenantIdentity(new IdentitySpec(), null, TimeProvider.System);
        var first = identity.Of(new HeaderDictionary());
        Assert.True(first.Anonymous);
        Assert.NotEqual(first.Name, identity.Of(new HeaderDictionary()).Name);
        Assert.Equal("alice", identity.Of(new HeaderDictionary { ["x-moebius-tenant"] = "alice" }).Name);
    }

    /// <summary>Else who leaves the name out would have a turn for each request, and a place in the queue.</summary>
    [Fact]
    public void All_anonymous_requests_have_one_share_together()
    {
        var identity = new TenantIdentity(new IdentitySpec(), null, TimeProvider.System);
        var anonymous = identity.Of(new HeaderDictionary());
        Assert.Equal(anonymous.Party, identity.Of(new HeaderDictionary()).Party);
        foreach (var name in new[] { "alice", anonymous.Name })
            Assert.NotEqual(anonymous.Party, identity.Of(new HeaderDictionary { ["X-Moebius-Tenant"] = name }).Party);
        var room = new FairRoom(4);
        for (var i = 0; i < 4; i++)
            Assert.True(room.TryEnter(identity.Of(new HeaderDictionary()).Party, 1, out _));
        Assert.False(room.TryEnter(identity.Of(new HeaderDictionary()).Party, 1, out _));
        Assert.True(room.TryEnter("alice", 1, out _));
    }

    [Fact]
    public void Anonymous_requests_can_be_refused()
    {
        var identity = new TenantIdentity(new IdentitySpec { Anonymous = AnonymousAccess.Refused }, null, TimeProvider.System);
        Assert.Equal(401, Assert.Throws<ApiException>(() => identity.Of(new HeaderDictionary())).Status);
    }

    [Fact]
    public void A_request_that_names_two_tenants_is_refused()
    {
        var identity = new TenantIdentity(new IdentitySpec(), null, TimeProvider.System);
        var error = Assert.Throws<ApiException>(() => identity.Of(new HeaderDictionary { ["x-moebius-tenant"] = new(["alice", "bob"]) }));
        Assert.Equal(401, error.Status);
        Assert.Contains("more than once", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Only_the_gateway_s_signature_names_a_tenant()
    {
        var identity = new TenantIdentity(new IdentitySpec { Signature = Signature }, Key, new StoppedClock());
        var now = StoppedClock.Now.ToUnixTimeSeconds();
        Assert.Equal("alice", identity.Of(Signed("alice", "alice", now, Key)).Name);
        foreach (var forged in new[] { Signed("bob", "alice", now, Key), Signed("alice", "alice", now, "other"), Signed("alice", "alice", now - 301, Key), Signed("alice", "alice", now + 301, Key) })
            Assert.Equal(401, Assert.Throws<ApiException>(() => identity.Of(forged)).Status);
        foreach (var broken in new[] { "", "t=1", "t=x,v1=00", $"t={now},v1={new string('z', 64)}", $"t={now}" })
            Assert.Throws<ApiException>(() => identity.Of(new HeaderDictionary { ["X-Moebius-Tenant"] = "alice", ["X-Moebius-Signature"] = broken }));
    }

    [Fact]
    public void A_policy_that_asks_for_signatures_needs_the_key()
    {
        var error = Assert.Throws<UserInputException>(() => new TenantIdentity(new IdentitySpec { Signature = Signature }, null, TimeProvider.System));
        Assert.Contains("MOEBIUS_TENANT_SIGNATURE_KEY", error.Message, StringComparison.Ordinal);
        Assert.Contains("gateway", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_that_can_be_guessed_is_refused()
    {
        var error = Assert.Throws<UserInputException>(() => new TenantIdentity(new IdentitySpec { Signature = Signature }, Key[1..], TimeProvider.System));
        Assert.StartsWith("MOEBIUS_TENANT_SIGNATURE_KEY: has 31 bytes, must have at least 32 random ones", error.Message, StringComparison.Ordinal);
        Assert.Contains("Secret 'gateway', key 'hmac'", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Key[1..], error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_changed_policy_is_taken_up_and_a_broken_one_is_not()
    {
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "policy.yaml");
        Write("X-First");
        using var identity = new PolicyIdentity(path, null, new StoppedClock(), NullLogger.Instance);
        Assert.Equal("a", identity.Current.Identity.Of(new HeaderDictionary { ["X-First"] = "a" }).Name);
        Write("X-Second");
        identity.Reload();
        Assert.Equal("b", identity.Current.Identity.Of(new HeaderDictionary { ["X-First"] = "a", ["X-Second"] = "b" }).Name);
        const string Kind = "apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p}";
        string[] refused =
        [
            "kind: Nonsense", "kind: 5", "kind: [KVPrivacyPolicy]", Kind, $"{Kind}\nspec: {{identity: {{tenantHeader: ''}}}}",
            // What the sidecar refuses, read with it from the same file.
            "kind: KVPrivacyPolicy\nspec: {}", $"{Kind}\nspec: {{publicPrefixes: [{{name: a, configMapRef: {{name: c, key: k}}}}]}}",
        ];
        foreach (var bad in refused)
        {
            File.WriteAllText(path, bad);
            identity.Reload();
            Assert.Equal("b", identity.Current.Identity.Of(new HeaderDictionary { ["X-Second"] = "b" }).Name);
            Assert.Throws<UserInputException>(() => new PolicyIdentity(path, null, new StoppedClock(), NullLogger.Instance));
        }

        void Write(string header) => File.WriteAllText(path, $"apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata:\n  name: p\nspec:\n  identity:\n    tenantHeader: {header}\n");
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_told_of_once_each_time()
    {
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "policy.yaml");
        var text = "apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p}\nspec: {}\n";
        File.WriteAllText(path, text);
        var log = new CollectingLogger();
        using var identity = new PolicyIdentity(path, null, new StoppedClock(), log);
        for (var time = 1; time <= 2; time++)
        {
            File.Delete(path);
            identity.Reload();
            identity.Reload();
            Assert.Equal(time, log.Messages.Count(message => message.StartsWith("The changed policy is refused", StringComparison.Ordinal)));
            File.WriteAllText(path, text);
            identity.Reload();
        }
    }

    [Fact]
    public void A_key_that_no_policy_asks_for_is_told_of_without_the_key()
    {
        const string Unsigned = "apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata: {name: p}\nspec: {}\n";
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "policy.yaml");
        var log = new CollectingLogger();
        new PolicyIdentity(null, Key, TimeProvider.System, log).Dispose();
        Assert.StartsWith("MOEBIUS_TENANT_SIGNATURE_KEY is set, but no policy asks for", Assert.Single(log.Messages), StringComparison.Ordinal);

        File.WriteAllText(path, Unsigned.Replace("spec: {}", "spec: {identity: {signature: {secretRef: {name: gateway, key: hmac}}}}", StringComparison.Ordinal));
        log = new CollectingLogger();
        using var identity = new PolicyIdentity(path, Key, new StoppedClock(), log);
        Assert.Empty(log.Messages);
        File.WriteAllText(path, Unsigned);
        identity.Reload();
        Assert.Contains("but the policy asks for no signatures", log.Messages.First(), StringComparison.Ordinal);
        Assert.DoesNotContain(log.Messages, message => message.Contains(Key, StringComparison.Ordinal));

        log = new CollectingLogger();
        new PolicyIdentity(path, null, new StoppedClock(), log).Dispose();
        new PolicyIdentity(null, "", TimeProvider.System, log).Dispose();
        Assert.Empty(log.Messages);
    }

    [Fact]
    public async Task The_server_asks_for_the_tenant_before_anything_else()
    {
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "policy.yaml");
        await File.WriteAllTextAsync(path, "apiVersion: moebius.dev/v1alpha1\nkind: KVPrivacyPolicy\nmetadata:\n  name: p\nspec:\n  identity:\n    anonymous: Refused\n", TestContext.Current.CancellationToken);
        await using var harness = await ServerHarness.StartAsync(ServerHarness.Options with { PolicyFile = path });
        var json = """{"model":"toy","prompt":"a","max_tokens":2}""";
        var (status, body, _) = await harness.PostAsync("v1/completions", json);
        Assert.Equal(HttpStatusCode.Unauthorized, status);
        Assert.Equal("authentication_error", (string?)body["error"]!["type"]);
        Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("v1/completions", json, "alice")).Status);
    }

    private static HeaderDictionary Signed(string claimed, string signed, long time, string key)
    {
        var seconds = time.ToString(CultureInfo.InvariantCulture);
        var code = Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes($"{seconds}.{signed}")));
        return new HeaderDictionary { ["X-Moebius-Tenant"] = claimed, ["X-Moebius-Signature"] = $"t={seconds},v1={code}" };
    }

    /// <summary>Neither goes on nor fires, so that a test is not looked over the shoulder by the timer.</summary>
    private sealed class StoppedClock : TimeProvider
    {
        public static readonly DateTimeOffset Now = DateTimeOffset.UnixEpoch.AddDays(20_000);

        public override DateTimeOffset GetUtcNow() => Now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }
}
