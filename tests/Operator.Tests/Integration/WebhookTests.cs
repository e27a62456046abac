using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Moebius.Crds;
using Moebius.Operator.Webhook;

namespace Moebius.Operator.Tests.Integration;

/// <summary>The validating webhook, called by a real API server over TLS with the operator's own certificate.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class WebhookTests(OperatorCluster cluster)
{
    /// <summary>What is refused though it keeps every rule of the CRDs, and the message that follows "denied the request: ".</summary>
    public static TheoryData<string, string, string> Refused { get; } = new()
    {
        { "MoEDeployment", "{model: {source: {hostPath: {path: /m}}}, resources: {limits: {memory: 1Gi}}}", "spec.resources.limits.memory: 1 GiB is less than the 1.5 GiB of spec.experts.fastMemory, spec.serving.kvMemory and spec.kvCache.memory together: raise it, and leave room for the dense weights" },
        { "MoEDeployment", "{model: {source: {hostPath: {path: /m}}}, kvCache: {memory: 2Gi, resources: {limits: {memory: 1Gi}}}}", "spec.kvCache.resources.limits.memory: 1 GiB is less than the arena of 2 GiB (spec.kvCache.memory): raise it" },
        { "MoEDeployment", "{model: {source: {hostPath: {path: /m}}}, serving: {port: 9401}}", "spec.serving.port: 9401 is the port of the cache's metrics: choose another one, such as 8000" },
        { "MoEDeployment", "{model: {source: {hostPath: {path: /m}}}, serving: {kvMemory: 0}}", "spec.serving.kvMemory: '0' is nothing: write a whole, positive quantity such as 512Mi" },
        { "MoEDeployment", "{model: {source: {hostPath: {path: /m}}}, podTemplate: {spec: {containers: [{name: inference, args: [x]}]}}}", "spec.podTemplate.spec.containers[inference].args: cannot be overridden: Moebius sets them; use the fields of spec" },
        { "KVPrivacyPolicy", "{rules: {custom: [{name: a, pattern: '(?<=a)b'}]}}", "spec.rules.custom[a].pattern: '(?<=a)b' is not usable: look-around, back-references and atomic groups cannot be matched in linear time: write it without them" },
        { "MemorySchedulingProfile", "{nodeSelector: {webhook: 'a b'}}", "spec.nodeSelector[webhook]: 'a b' is not the value of a label: write at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last" },
    };

    private const string Name = "moebius-operator";

    private static WebhookOptions Options(int port) => new(new IPEndPoint(IPAddress.Loopback, port), ["127.0.0.1"], Name, null);

    private async Task RegisterAsync(string @namespace, int port)
    {
        var hook = WebhookManifests.Hook(new Admissionregistrationv1WebhookClientConfig { Url = $"https://127.0.0.1:{port}{WebhookOptions.Path}" });
        // Other tests of this cluster write objects, too.
        hook.NamespaceSelector = new V1LabelSelector { MatchLabels = new Dictionary<string, string> { ["webhook"] = "yes" } };
        hook.FailurePolicy = "Fail";
        // The operator has exactly these rights; its Service is of no use to a server outside the cluster.
        (await cluster.KubectlAsync("apply", "-f", RepositoryFiles.At("operator/manifests/webhook.yaml"))).EnsureSuccess();
        (await cluster.KubectlAsync("label", "namespace", @namespace, "webhook=yes")).EnsureSuccess();
        await cluster.ApplyAsync(Manifests.ToYaml(new V1ValidatingWebhookConfiguration
        {
            ApiVersion = "admissionregistration.k8s.io/v1", Kind = "ValidatingWebhookConfiguration", Metadata = new V1ObjectMeta { Name = Name }, Webhooks = [hook],
        }));
    }

    [Fact]
    public async Task What_no_rule_of_a_CRD_can_say_is_refused_at_the_door()
    {
        Assert.SkipUnless(cluster.CustomResourcesServedApart, "the API server does not evaluate CEL rules");
        var shop = await cluster.NamespaceAsync("admission");
        var port = Moebius.KubernetesEnvironment.LoopbackPorts.Take();
        await RegisterAsync(shop, port);
        try
        {
            await using var running = cluster.StartOperator(configure: options => options with { Webhook = Options(port) });
            const string Good = "{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {name: good}, spec: {model: {source: {hostPath: {path: /m}}}, kvCache: {policyRef: {name: later}}}}";
            // The configuration takes a moment to reach the server, and so does the certificate.
            await Eventually.TrueAsync(async () => (await cluster.KubectlAsync(["apply", "--validate=false", "-n", shop, "-f", "-"], Good)).ExitCode == 0);
            await Eventually.TrueAsync(async () => (await TryAsync(shop, "MoEDeployment", "{model: {source: {hostPath: {path: /m}}}, serving: {port: 9401}}")).Contains("denied the request: ", StringComparison.Ordinal));
            foreach (var row in Refused)
            {
                var (kind, spec, message) = (row.Data.Item1, row.Data.Item2, row.Data.Item3);
                Assert.EndsWith($"admission webhook \"validate.moebius.dev\" denied the request: {message}", (await TryAsync(shop, kind, spec)).Trim(), StringComparison.Ordinal);
            }

            // What may become right later is a warning.
            var warned = await cluster.KubectlAsync(["apply", "--validate=false", "-n", shop, "-f", "-"], Good.Replace("name: good", "name: warned", StringComparison.Ordinal));
            Assert.Equal(0, warned.ExitCode);
            Assert.Contains("there is no KVPrivacyPolicy 'later'", warned.StandardError, StringComparison.Ordinal);
        }
        finally
        {
            (await cluster.KubectlAsync("delete", "validatingwebhookconfiguration", Name)).EnsureSuccess();
            (await cluster.KubectlAsync("delete", "-n", "moebius-system", "secret", CertificateKeeper.SecretName, "--ignore-not-found")).EnsureSuccess();
        }
    }

    [Fact]
    public async Task The_certificate_is_replaced_in_time_and_shared_between_replicas()
    {
        const string Other = "rotation";
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        using var view = new ClusterView(cluster);
        var space = await cluster.NamespaceAsync(Other);
        await cluster.ApplyAsync("{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: rotation}, webhooks: [{name: v.moebius.dev, admissionReviewVersions: [v1], sideEffects: None, clientConfig: {url: 'https://127.0.0.1:1/'}, rules: []}]}");
        var options = Options(1) with { Configuration = Other };
        CertificateKeeper Keeper() => new(options, space, view.Api, time, NullLogger<CertificateKeeper>.Instance);
        using var one = Keeper();
        using var two = Keeper();
        await one.LookAsync(TestContext.Current.CancellationToken);
        await two.LookAsync(TestContext.Current.CancellationToken);
        var first = one.Current!;
        Assert.Equal(first.Thumbprint, two.Current!.Thumbprint);
        Assert.True(Trusts(await BundleAsync(), first));

        time.Advance(TimeSpan.FromDays(55));
        await one.LookAsync(TestContext.Current.CancellationToken);
        Assert.Equal(first.Thumbprint, one.Current!.Thumbprint);
        time.Advance(TimeSpan.FromDays(10));
        // Whom to trust is told before the new certificate is shown.
        var wait = await one.LookAsync(TestContext.Current.CancellationToken);
        Assert.Equal(first.Thumbprint, one.Current!.Thumbprint);
        Assert.InRange(wait, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(30));
        time.Advance(wait);
        await one.LookAsync(TestContext.Current.CancellationToken);
        Assert.NotEqual(first.Thumbprint, one.Current!.Thumbprint);
        // The other replica still presents the old one, and is believed.
        Assert.True(Trusts(await BundleAsync(), two.Current!));
        Assert.True(Trusts(await BundleAsync(), one.Current!));
        time.Advance(await two.LookAsync(TestContext.Current.CancellationToken));
        await two.LookAsync(TestContext.Current.CancellationToken);
        Assert.Equal(one.Current!.Thumbprint, two.Current!.Thumbprint);
        (await cluster.KubectlAsync("delete", "validatingwebhookconfiguration", Other)).EnsureSuccess();

        async Task<string> BundleAsync() => Encoding.UTF8.GetString(Convert.FromBase64String(await cluster.GetAsync("default", $"validatingwebhookconfiguration/{Other}", ".webhooks[0].clientConfig.caBundle")));
    }

    [Theory]
    [InlineData(-65, false)]
    [InlineData(-100, true)]
    [InlineData(100, true)]
    public async Task Requests_go_on_while_the_certificate_is_replaced_and_again_after_a_clock_was_set_right(int days, bool isWrong)
    {
        Assert.SkipUnless(cluster.CustomResourcesServedApart, "the API server does not evaluate CEL rules");
        var shop = await cluster.NamespaceAsync($"rotation{(days < 0 ? "-behind" : "-ahead")}{Math.Abs(days)}");
        var port = Moebius.KubernetesEnvironment.LoopbackPorts.Take();
        await RegisterAsync(shop, port);
        try
        {
            var clock = new SetClock { Off = TimeSpan.FromDays(days) };
            await using var running = cluster.StartOperator(shop, configure: options => options with { Webhook = Options(port) }, time: clock);
            const string Good = "{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {name: good}, spec: {model: {source: {hostPath: {path: /m}}}}}";
            // What a server of this version lacks is a warning.
            async Task<string> AskAsync() => await cluster.KubectlAsync(["create", "--dry-run=server", "--validate=false", "-n", shop, "-f", "-"], Good) is { ExitCode: not 0 } refused ? refused.StandardError : "";
            // Made 65 days ago by the operator's clock it is still good; 100 days ago, or in 100 days, nobody believes it.
            await Eventually.TrueAsync(async () => await AskAsync() is var error && (isWrong ? error.Contains("certificate has expired or is not yet valid", StringComparison.Ordinal) : error.Length == 0));
            var first = await SerialAsync();

            clock.Off = TimeSpan.Zero;
            await Eventually.TrueAsync(async () =>
            {
                var error = await AskAsync();
                Assert.True(isWrong || error.Length == 0, error);
                return error.Length == 0 && await PresentedAsync(port) != first;
            });
            for (var more = 0; more < 10; more++)
                Assert.Equal("", await AskAsync());

            async Task<string> SerialAsync()
            {
                await Eventually.TrueAsync(async () => await PresentedAsync(port) is not null);
                return (await PresentedAsync(port))!;
            }
        }
        finally
        {
            (await cluster.KubectlAsync("delete", "validatingwebhookconfiguration", Name)).EnsureSuccess();
            (await cluster.KubectlAsync("delete", "-n", "moebius-system", "secret", CertificateKeeper.SecretName, "--ignore-not-found")).EnsureSuccess();
        }
    }

    /// <summary>The certificate that the server shows to whoever calls; null while there is none.</summary>
    private static async Task<string?> PresentedAsync(int port)
    {
        using var client = new System.Net.Sockets.TcpClient();
        try
        {
            await client.ConnectAsync(IPAddress.Loopback, port, TestContext.Current.CancellationToken);
            string? seen = null;
#pragma warning disable CA5359 // Whether it is trusted is the API server's to say.
            await using var tls = new System.Net.Security.SslStream(client.GetStream(), false, (_, certificate, _, _) =>
            {
                seen = certificate?.GetSerialNumberString();
                return true;
            });
#pragma warning restore CA5359
            await tls.AuthenticateAsClientAsync("127.0.0.1");
            return seen;
        }
        catch (Exception error) when (error is IOException or System.Net.Sockets.SocketException or System.Security.Authentication.AuthenticationException)
        {
            return null;
        }
    }

    /// <summary>A clock that is wrong until it is set right, in a world where a minute passes in a second.</summary>
    private sealed class SetClock : TimeProvider
    {
        private long _off;

        public TimeSpan Off
        {
            get => new(Interlocked.Read(ref _off));
            set => Interlocked.Exchange(ref _off, value.Ticks);
        }

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Off;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, dueTime >= TimeSpan.FromMinutes(1) ? TimeSpan.FromSeconds(1) : dueTime, period);
    }

    private static bool Trusts(string bundle, X509Certificate2 certificate)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.ImportFromPem(bundle);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.VerificationTime = certificate.NotBefore.AddDays(1);
        return chain.Build(certificate);
    }

    private async Task<string> TryAsync(string @namespace, string kind, string spec) => (await cluster.KubectlAsync(
        ["create", "--validate=false", "-n", @namespace, "-f", "-"],
        $"{{apiVersion: moebius.dev/v1alpha1, kind: {kind}, metadata: {{name: refused}}, spec: {spec}}}")).StandardError;
}
