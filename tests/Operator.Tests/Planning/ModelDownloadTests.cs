using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.Operator.Tests.Planning;

public sealed class ModelDownloadTests
{
    private static Plan Plan(string download = "", FetchState state = FetchState.NotStarted) => MoEDeploymentPlanner.Plan(
        Samples.Parse<MoEDeployment>($$$"""
            apiVersion: moebius.dev/v1alpha1
            kind: MoEDeployment
            metadata: {name: austen, namespace: shop}
            spec:
              model: {source: {huggingFace: {repository: a/b}, store: {size: 10Gi, download: { {{{download}}} } } } }
            """),
        MoEReferences.None with { Preparation = ModelPreparation.None with { State = state } },
        OperatorSettings.Default,
        ServerCapabilities.Latest);

    [Fact]
    public void A_namespace_with_a_quota_takes_the_Job()
    {
        var resources = Pod(Plan()).Containers[0].Resources;
        Assert.Equal(["cpu=100m", "memory=128Mi"], Written(resources.Requests));
        Assert.Equal(["cpu=2", "memory=4Gi"], Written(resources.Limits));

        var asked = Pod(Plan("resources: {limits: {memory: 8Gi}}")).Containers[0].Resources;
        Assert.Null(asked.Requests);
        Assert.Equal(["memory=8Gi"], Written(asked.Limits));
        Assert.NotEqual(Plan().Child<V1Job>().Metadata.Name, Plan("resources: {limits: {memory: 8Gi}}").Child<V1Job>().Metadata.Name);
    }

    [Theory]
    [InlineData("proxy: {url: 'http://10.0.0.7:3128'}", "53 53", "10.0.0.7/32:3128")]
    [InlineData("proxy: {url: 'http://proxy.example.com'}", "53 53", ":80")]
    [InlineData("proxy: {url: 'http://squid:3128'}", "53 53", "shop:")]
    [InlineData("proxy: {url: 'https://[fd00::7]:3128/', noProxy: [minio.storage.svc, .corp.example.com, 10.0.0.9]}", "53 53 443", "fd00::7/128:3128")]
    public void A_proxy_is_what_the_Job_asks_and_may_reach(string download, string direct, string proxy)
    {
        var plan = Plan(download);
        var environment = Pod(plan).Containers[0].Env.ToDictionary(one => one.Name, one => one.Value);
        Assert.Equal(environment["HTTP_PROXY"], environment["HTTPS_PROXY"]);
        Assert.Contains(environment["HTTP_PROXY"], download, StringComparison.Ordinal);
        Assert.Equal(download.Contains("noProxy", StringComparison.Ordinal) ? "minio.storage.svc,.corp.example.com,10.0.0.9" : null, environment.GetValueOrDefault("NO_PROXY"));

        var rules = plan.Child<V1NetworkPolicy>().Spec.Egress;
        Assert.Equal(direct, string.Join(' ', rules[0].Ports.Select(port => port.Port.ToString())));
        var peer = rules[1].To?.Single();
        Assert.Equal(proxy, $"{peer?.IpBlock?.Cidr ?? peer?.NamespaceSelector.MatchLabels.Values.Single()}:{rules[1].Ports?.Single().Port}");
        Assert.Equal(2, rules.Count);
    }

    [Fact]
    public void Pods_are_drawn_to_the_node_that_has_a_store_for_one_node()
    {
        var plan = Plan(state: FetchState.Done);
        var labels = plan.Child<V1Deployment>().Spec.Template.Metadata.Labels;
        foreach (var pod in new[] { Pod(plan), plan.Child<V1Deployment>().Spec.Template.Spec })
        {
            var term = Assert.Single(pod.Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution).PodAffinityTerm;
            Assert.Equal("kubernetes.io/hostname", term.TopologyKey);
            Assert.All(term.LabelSelector.MatchLabels, label => Assert.Equal(label.Value, labels[label.Key]));
            Assert.Contains(labels[Labels.Component], Assert.Single(term.LabelSelector.MatchExpressions).Values);
            // A pod of a node that is gone must not hold up the one that takes its place.
            Assert.Null(pod.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution);
        }

        var anywhere = Samples.Remote("podTemplate: {spec: {affinity: {podAffinity: null}}}");
        Assert.Null(Template(anywhere).Affinity.PodAffinity);
        anywhere = Samples.Remote();
        anywhere.Spec.Model.Source.Store!.AccessMode = StoreAccess.ReadWriteMany;
        Assert.Null(Template(anywhere).Affinity);
        Assert.Null(Template(Samples.MoE()).Affinity);

        static V1PodSpec Template(MoEDeployment resource) => MoEDeploymentPlanner.Plan(
            resource, MoEReferences.None with { Preparation = ModelPreparation.None with { State = FetchState.Done } }, OperatorSettings.Default, ServerCapabilities.Latest).Child<V1Deployment>().Spec.Template.Spec;
    }

    [Theory]
    [InlineData(FetchState.NotStarted)]
    [InlineData(FetchState.Inline)]
    public void Certificates_are_mounted_where_the_program_looks(FetchState state)
    {
        var plan = Plan("caConfigMapRef: {name: company, key: root.pem}", state);
        var pod = state == FetchState.Inline ? plan.Child<V1Deployment>().Spec.Template.Spec : Pod(plan);
        var container = pod.Containers.Concat(pod.InitContainers ?? []).Single(one => one.Name == ModelFetch.ContainerName);
        var directory = container.Env.Single(one => one.Name == "SSL_CERT_DIR").Value;
        var mount = container.VolumeMounts.Single(one => one.MountPath == directory);
        Assert.True(mount.ReadOnlyProperty);
        var map = pod.Volumes.Single(volume => volume.Name == mount.Name).ConfigMap;
        Assert.Equal(("company", "root.pem"), (map.Name, Assert.Single(map.Items).Key));
        Assert.DoesNotContain(container.Env, one => one.Name == "SSL_CERT_FILE");
    }

    [Fact]
    public void What_is_not_asked_for_is_not_there()
    {
        var pod = Pod(Plan("resources: {requests: {cpu: 1}}"));
        Assert.Equal(["DOTNET_EnableDiagnostics"], pod.Containers[0].Env.Select(one => one.Name));
        Assert.Equal(["model"], pod.Volumes.Select(volume => volume.Name));
    }

    [Theory]
    [InlineData("proxy: {url: 'http://me:secret@proxy:3128'}", "spec.model.source.store.download.proxy.url")]
    [InlineData("proxy: {url: 'socks5://proxy:1080'}", "spec.model.source.store.download.proxy.url")]
    [InlineData("proxy: {url: 'http://proxy:99999'}", "spec.model.source.store.download.proxy.url: 'http://proxy:99999' is not a URL with a host and a port")]
    [InlineData("proxy: {url: 'http://proxy:3128', noProxy: ['10.0.0.0/8']}", "spec.model.source.store.download.proxy.noProxy[0]")]
    [InlineData("proxy: {url: 'http://proxy:3128', noProxy: ['*.example.com']}", "spec.model.source.store.download.proxy.noProxy[0]")]
    [InlineData("resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}", "spec.model.source.store.download.resources.requests[memory]")]
    public void What_cannot_be_honoured_is_refused_by_name(string download, string message)
    {
        var plan = Plan(download);
        Assert.True(plan.IsBlocked);
        Assert.StartsWith(message, Assert.Single(plan.Problems).Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", plan.Problems[0].Message, StringComparison.Ordinal);
    }

    private static V1PodSpec Pod(Plan plan) => plan.Child<V1Job>().Spec.Template.Spec;

    private static IEnumerable<string> Written(IDictionary<string, ResourceQuantity> quantities) => quantities.Select(one => $"{one.Key}={one.Value}").Order();
}
