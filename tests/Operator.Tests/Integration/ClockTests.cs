using System.Globalization;
using System.Net;
using k8s.Models;
using Moebius.Crds;
using Moebius.Operator.Planning;
using Moebius.Operator.Webhook;

namespace Moebius.Operator.Tests.Integration;

/// <summary>Clocks of operators and of the API server that do not agree.</summary>
[Collection(WaitingTests.Name)]
[Trait("Category", "Cluster")]
public sealed class ClockTests(OperatorCluster cluster)
{
    private const string Local = "{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {name: austen}, spec: {model: {source: {hostPath: {path: /m}}}}}";

    private const string Administrator = "system:admin-clock";

    [Fact]
    public async Task A_holder_whose_clock_is_an_hour_off_keeps_its_lease_while_it_lives_and_no_longer()
    {
        (await cluster.KubectlAsync("create", "clusterrolebinding", "clock", "--clusterrole=cluster-admin", $"--user={Administrator}")).EnsureSuccess();
        await Task.WhenAll(HolderAsync("clock-behind", TimeSpan.FromHours(-1)), HolderAsync("clock-ahead", TimeSpan.FromHours(1)));
    }

    /// <summary>Plays another operator, whose clock is the same hour off in every renewal.</summary>
    private async Task HolderAsync(string space, TimeSpan off)
    {
        await cluster.NamespaceAsync(space);
        await LeaseAsync(space, off);
        await using var running = cluster.StartOperator(space, "patient", leaderElect: true, Administrator, configure: options => options with { Settings = OperatorSettings.Default with { Namespace = space } });
        await cluster.ApplyAsync(Local, "-n", space);
        // Longer than a lease lasts.
        for (var until = DateTime.UtcNow.AddSeconds(20); DateTime.UtcNow < until; await Task.Delay(1000))
        {
            Assert.Equal("elsewhere", await cluster.GetAsync(space, $"lease/moebius-operator-{space}", ".spec.holderIdentity"));
            await LeaseAsync(space, off);
        }

        Assert.Equal("", await cluster.GetAsync(space, "deployment/austen", ".metadata.name"));
        // The holder is gone: its last word is an hour old, or an hour ahead, and counts from when it was heard.
        await Eventually.EqualAsync("patient", () => cluster.GetAsync(space, $"lease/moebius-operator-{space}", ".spec.holderIdentity"));
        await Eventually.EqualAsync("austen", () => cluster.GetAsync(space, "deployment/austen", ".metadata.name"));
    }

    private Task LeaseAsync(string space, TimeSpan off)
    {
        var time = (DateTime.UtcNow + off).ToString("yyyy-MM-ddTHH:mm:ss.ffffffZ", CultureInfo.InvariantCulture);
        return cluster.ApplyAsync($$"""
            apiVersion: coordination.k8s.io/v1
            kind: Lease
            metadata: {name: moebius-operator-{{space}}}
            spec: {holderIdentity: elsewhere, leaseDurationSeconds: 15, acquireTime: "{{time}}", renewTime: "{{time}}", leaseTransitions: 0}
            """, "-n", space);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    public async Task An_operator_whose_clock_is_an_hour_off_works_as_any_other_and_its_webhook_is_believed(int hours)
    {
        var name = hours < 0 ? "late" : "early";
        var shop = await cluster.NamespaceAsync($"clock-{name}");
        var port = Moebius.KubernetesEnvironment.LoopbackPorts.Take();
        var hook = WebhookManifests.Hook(new Admissionregistrationv1WebhookClientConfig { Url = $"https://127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}{WebhookOptions.Path}" });
        hook.NamespaceSelector = new V1LabelSelector { MatchLabels = new Dictionary<string, string> { ["clock"] = name } };
        hook.FailurePolicy = "Fail";
        const string Configuration = "moebius-operator";
        (await cluster.KubectlAsync("apply", "-f", RepositoryFiles.At("operator/manifests/webhook.yaml"))).EnsureSuccess();
        (await cluster.KubectlAsync("label", "namespace", shop, $"clock={name}")).EnsureSuccess();
        await cluster.ApplyAsync(Manifests.ToYaml(new V1ValidatingWebhookConfiguration
        {
            ApiVersion = "admissionregistration.k8s.io/v1", Kind = "ValidatingWebhookConfiguration", Metadata = new V1ObjectMeta { Name = Configuration }, Webhooks = [hook],
        }));
        try
        {
            string before;
            await using (cluster.StartOperator(shop, time: new OffsetTime(TimeSpan.FromHours(hours)), configure: options => options with { Webhook = new WebhookOptions(new IPEndPoint(IPAddress.Loopback, port), ["127.0.0.1"], Configuration, null) }))
            {
                // The webhook must answer, and be believed, or nothing is stored.
                await Eventually.TrueAsync(async () => (await cluster.KubectlAsync(["apply", "--validate=false", "-n", shop, "-f", "-"], Local)).ExitCode == 0);
                await Eventually.EqualAsync("False", () => cluster.ConditionAsync(shop, "moe/austen", "Ready"));
                before = await cluster.GetAsync(shop, "moe/austen", ".status.conditions");
                Assert.Equal("austen", await cluster.GetAsync(shop, "deployment/austen", ".metadata.name"));
            }

            // One whose clock is right has nothing to correct: times move with a status only.
            await using var next = cluster.StartOperator(shop);
            (await cluster.KubectlAsync("delete", "-n", shop, "service/austen")).EnsureSuccess();
            await Eventually.EqualAsync("austen", () => cluster.GetAsync(shop, "service/austen", ".metadata.name"));
            Assert.Equal(before, await cluster.GetAsync(shop, "moe/austen", ".status.conditions"));
        }
        finally
        {
            (await cluster.KubectlAsync("delete", "validatingwebhookconfiguration", Configuration)).EnsureSuccess();
            (await cluster.KubectlAsync("delete", "-n", "moebius-system", "secret", CertificateKeeper.SecretName, "--ignore-not-found")).EnsureSuccess();
        }
    }

    /// <summary>A clock that goes right and is set wrong.</summary>
    private sealed class OffsetTime(TimeSpan off) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + off;
    }
}
