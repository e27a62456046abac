using System.Text.Json;
using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.Profiles;

namespace Moebius.Charts.Tests;

/// <summary>What the operator's chart renders for many values.</summary>
public sealed class TemplateTests
{
    private static readonly string[] Toggles =
    [
        "rbac.create", "rbac.aggregateToDefaultRoles", "serviceAccount.create", "podDisruptionBudget.enabled", "networkPolicy.enabled",
        "metrics.service.enabled", "metrics.serviceMonitor.enabled", "metrics.podMonitor.enabled", "prometheusRule.enabled", "dashboards.enabled", "nodeAgents.createNamespace",
    ];

    private static readonly string[][] Others =
    [
        ["--set", "nameOverride=m"],
        ["--set", "webhook.enabled=true,webhook.port=10250"],
        ["--set", "webhook.enabled=true,webhook.certManager.enabled=true"],
        ["--set", "watchNamespace=shop"],
        ["--set", "image.repository=registry.example:5000/a/moebius,image.tag=v2,imagePullSecrets[0].name=pull"],
        ["--set", "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef,workloadImage=other:1"],
        ["--set", "replicas=1,leaderElection.enabled=false,networkPolicy.metricsFrom=null,topologySpreadConstraints=null"],
        ["--set", "tolerations[0].operator=Exists,nodeSelector.disk=ssd,priorityClassName=system-cluster-critical,podAnnotations.a=b,podLabels.c=d,commonLabels.e=f"],
        ["--set-json", """affinity={"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"Exists"}]}]}}}"""],
        ["--set-json", """networkPolicy.metricsFrom=[{"namespaceSelector":{"matchLabels":{"a":"b"}},"podSelector":{}},{"ipBlock":{"cidr":"10.0.0.0/8"}}]"""],
        ["--set", "podDisruptionBudget.maxUnavailable=50%,metrics.port=9090,terminationGracePeriodSeconds=5,startupProbe.initialDelaySeconds=1"],
        ["--api-versions", "policy/v1beta1", "--kube-version", "1.20.2"],
    ];

    [Fact]
    public async Task Options_alone_and_together_give_objects_without_unknown_fields()
    {
        var all = Set(_ => true);
        var matrix = Toggled().Select(toggles => (toggles, other: (string[])[])).Concat(Others.Select(other => (toggles: all, other)));
        await Parallel.ForEachAsync(matrix, new ParallelOptions { MaxDegreeOfParallelism = 2 }, async (one, _) =>
        {
            var rendered = await Rendered.ChartAsync(["--set", one.toggles, .. one.other]);

            Assert.Empty(rendered.UnknownKinds().Except(["ServiceMonitor", "PodMonitor", "PrometheusRule", "Certificate", "Issuer"]));
            Assert.Equal(rendered.Objects.Count, rendered.Objects.Select(Rendered.Name).Distinct().Count());
            Assert.All(rendered.Objects, item => Assert.Equal("moebius", (string?)item["metadata"]!["labels"]!["app.kubernetes.io/part-of"]));
        });

        // All off, and each alone off or on.
        static IEnumerable<string> Toggled() =>
        [
            Set(name => name == "serviceAccount.create"),
            .. Toggles.Where(name => name is not ("metrics.service.enabled" or "serviceAccount.create")).Select(off => Set(name => name != off)),
            .. Toggles.Where(name => name is not "metrics.serviceMonitor.enabled").Select(on => Set(name => name == on || name == "serviceAccount.create")),
        ];

        static string Set(Func<string, bool> on) => string.Join(',', Toggles.Select(name => $"{name}={(on(name) ? "true" : "false")}"));
    }

    [Theory]
    [InlineData("podDisruptionBudget.enabled", "PodDisruptionBudget")]
    [InlineData("networkPolicy.enabled", "NetworkPolicy")]
    [InlineData("webhook.enabled", "ValidatingWebhookConfiguration")]
    [InlineData("metrics.service.enabled", "Service")]
    [InlineData("metrics.serviceMonitor.enabled", "ServiceMonitor")]
    [InlineData("metrics.podMonitor.enabled", "PodMonitor")]
    [InlineData("prometheusRule.enabled", "PrometheusRule")]
    [InlineData("dashboards.enabled", "ConfigMap")]
    [InlineData("nodeAgents.createNamespace", "Namespace")]
    [InlineData("rbac.create", "RoleBinding")]
    public async Task Option_switches_its_object(string option, string kind)
    {
        Assert.NotEmpty((await Rendered.ChartAsync("--set", option + "=true")).OfKind(kind));
        Assert.Empty((await Rendered.ChartAsync("--set", option + "=false")).OfKind(kind));
    }

    [Fact]
    public async Task Operator_is_started_as_the_values_say()
    {
        var pod = (await Rendered.ChartAsync("--set", "image.repository=r/m,image.tag=v7,metrics.port=9000,nodeAgents.namespace=agents,logFormat=json")).One<V1Deployment>().Spec.Template.Spec;

        var container = Assert.Single(pod.Containers);
        Assert.Equal(["moebius"], container.Command);
        Assert.Equal(["operator", "run", "--namespace=all", "--operator-namespace=agents", "--listen=0.0.0.0:9000", "--image=r/m:v7", "--leader-elect=true", "--log-format=json"], container.Args);
        Assert.Equal("r/m:v7", container.Image);
        Assert.Equal(9000, Assert.Single(container.Ports).ContainerPort);
    }

    [Theory]
    [InlineData("", "moebius-{component}:0.1.0")]
    [InlineData("image.repository=registry.example:5000/a/moebius-operator,image.tag=v2", "registry.example:5000/a/moebius-{component}:v2")]
    [InlineData("image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "moebius-{component}:0.1.0")]
    [InlineData("image.repository=all-in-one", "all-in-one:0.1.0")]
    [InlineData("workloadImage=other@sha256:ab", "other@sha256:ab")]
    public async Task Images_of_workloads_follow_the_operators(string values, string expected) =>
        Assert.Contains($"--image={expected}", (await Rendered.ChartAsync("--set", values)).One<V1Deployment>().Spec.Template.Spec.Containers[0].Args);

    [Fact]
    public async Task Operator_of_one_namespace_keeps_its_lease_beside_itself()
    {
        var rendered = await Rendered.ChartAsync("--set", "watchNamespace=shop,workloadImage=w:1,image.digest=sha256:" + new string('a', 64));

        var container = rendered.One<V1Deployment>().Spec.Template.Spec.Containers[0];
        Assert.Contains("--namespace=shop", container.Args);
        Assert.Contains("--operator-namespace=moebius-system", container.Args);
        Assert.Contains("--image=w:1", container.Args);
        Assert.Equal("moebius-operator@sha256:" + new string('a', 64), container.Image);
        Assert.Empty(rendered.All<V1Namespace>());
        Assert.Equal("moebius-system", rendered.One<V1Role>("moebius-operator-own-namespace").Metadata.NamespaceProperty);
    }

    [Theory]
    [InlineData("image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef,nodeSelector.disk=ssd", "--namespace=all", "--operator-namespace=moebius-node-agents")]
    [InlineData("watchNamespace=shop", "--namespace=shop", "--operator-namespace=moebius-system")]
    public async Task Test_of_the_release_runs_as_the_operator_does_and_is_not_taken_for_it(string values, params string[] arguments)
    {
        var rendered = await Rendered.ChartAsync("--set", values);
        var deployment = rendered.One<V1Deployment>().Spec;
        var pod = rendered.One<V1Pod>();

        Assert.Equal("test", pod.Metadata.Annotations["helm.sh/hook"]);
        Assert.Equal(["operator", "check", .. arguments, "--leader-elect=true"], Assert.Single(pod.Spec.Containers).Args);
        Assert.Equal(deployment.Template.Spec.Containers[0].Image, pod.Spec.Containers[0].Image);
        Assert.Equal(deployment.Template.Spec.ServiceAccountName, pod.Spec.ServiceAccountName);
        Assert.Equal(deployment.Template.Spec.NodeSelector, pod.Spec.NodeSelector);
        Assert.True(pod.Spec.SecurityContext.RunAsNonRoot);
        Assert.True(pod.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem);
        Assert.Contains(deployment.Selector.MatchLabels, label => pod.Metadata.Labels[label.Key] != label.Value);
    }

    [Fact]
    public async Task Operator_pod_satisfies_the_restricted_level()
    {
        var pod = (await Rendered.ChartAsync()).One<V1Deployment>().Spec.Template.Spec;

        Assert.True(pod.SecurityContext.RunAsNonRoot);
        Assert.Equal(65532, pod.SecurityContext.RunAsUser);
        Assert.Equal("RuntimeDefault", pod.SecurityContext.SeccompProfile.Type);
        var security = Assert.Single(pod.Containers).SecurityContext;
        Assert.False(security.AllowPrivilegeEscalation);
        Assert.True(security.ReadOnlyRootFilesystem);
        Assert.True(security.RunAsNonRoot);
        Assert.Equal(["ALL"], security.Capabilities.Drop);
        Assert.Null(security.Capabilities.Add);
        Assert.Null(pod.Volumes);
        Assert.NotEqual(true, pod.HostNetwork);
    }

    [Fact]
    public async Task Only_the_namespace_of_node_agents_may_hold_privileged_pods()
    {
        var space = (await Rendered.ChartAsync()).One<V1Namespace>();

        Assert.Equal("moebius-node-agents", space.Metadata.Name);
        Assert.All(["enforce", "audit", "warn"], mode => Assert.Equal("privileged", space.Metadata.Labels[$"pod-security.kubernetes.io/{mode}"]));
        Assert.Equal("keep", space.Metadata.Annotations["helm.sh/resource-policy"]);
    }

    [Fact]
    public async Task Names_that_look_like_numbers_stay_names()
    {
        var rendered = Rendered.Parse((await Tool.HelmAsync(
            "template", "2024", RepositoryFiles.At("charts/moebius"), "-n", "2025", "--set-string", "watchNamespace=1e3,priorityClassName=7,nodeAgents.namespace=2026",
            "--set", "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,prometheusRule.enabled=true,dashboards.enabled=true")).EnsureSuccess().StandardOutput);

        Assert.NotEmpty(rendered.UnknownKinds());
        Assert.All(rendered.Objects, one => Assert.Equal(JsonValueKind.String, one["metadata"]!["namespace"]?.GetValueKind() ?? JsonValueKind.String));
        Assert.Equal(["1e3"], rendered.OfKind("PodMonitor").Single()["spec"]!["namespaceSelector"]!["matchNames"]!.AsArray().Select(name => (string)name!));
        Assert.Equal("7", rendered.One<V1Deployment>().Spec.Template.Spec.PriorityClassName);
    }

    [Fact]
    public async Task Labels_of_one_object_go_before_those_of_all()
    {
        var rendered = await Rendered.ChartAsync("--set", "commonLabels.team=all,metrics.podMonitor.enabled=true,metrics.podMonitor.labels.team=one,dashboards.enabled=true,dashboards.labels.team=two");
        Assert.Equal("one", (string?)rendered.OfKind("PodMonitor").Single()["metadata"]!["labels"]!["team"]);
        Assert.All(rendered.All<V1ConfigMap>(), dashboard => Assert.Equal("two", dashboard.Metadata.Labels["team"]));
        Assert.Equal("all", rendered.One<V1Deployment>().Metadata.Labels["team"]);
    }

    [Fact]
    public async Task Selectors_find_the_operators_pods_and_ports()
    {
        var rendered = await Rendered.ChartAsync("--set", "metrics.serviceMonitor.enabled=true,podLabels.a=b,commonLabels.c=d");
        var deployment = rendered.One<V1Deployment>();
        var labels = deployment.Spec.Template.Metadata.Labels;
        var service = rendered.One<V1Service>();

        Assert.All(
            [
                deployment.Spec.Selector.MatchLabels, service.Spec.Selector, rendered.One<V1NetworkPolicy>("moebius-operator").Spec.PodSelector.MatchLabels,
                rendered.One<V1PodDisruptionBudget>().Spec.Selector.MatchLabels, deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
            ],
            selector => Assert.All(selector, label => Assert.Equal(label.Value, labels[label.Key])));
        Assert.Equal("b", labels["a"]);
        Assert.Equal("d", labels["c"]);
        var ports = deployment.Spec.Template.Spec.Containers[0].Ports.Select(port => port.Name).ToList();
        Assert.Contains(service.Spec.Ports[0].TargetPort.Value, ports);

        var monitor = rendered.OfKind("ServiceMonitor").Single()["spec"]!;
        Assert.All(monitor["selector"]!["matchLabels"]!.AsObject(), label => Assert.Equal((string?)label.Value, service.Metadata.Labels[label.Key]));
        Assert.Equal(service.Spec.Ports[0].Name, (string?)monitor["endpoints"]![0]!["port"]);
        Assert.Equal([service.Metadata.NamespaceProperty], monitor["namespaceSelector"]!["matchNames"]!.AsArray().Select(name => (string)name!));
    }

    [Fact]
    public async Task A_spread_constraint_selects_the_operators_pods_unless_it_selects_others()
    {
        var spread = (await Rendered.ChartAsync("--set-json", """topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"other"}}}]"""))
            .One<V1Deployment>().Spec.Template.Spec.TopologySpreadConstraints;
        Assert.Equal(("app", "other"), Assert.Single(Assert.Single(spread).LabelSelector.MatchLabels.Select(label => (label.Key, label.Value))));
    }

    [Fact]
    public async Task An_operator_that_elects_no_leader_has_no_right_to_leases()
    {
        Assert.Contains((await Rendered.ChartAsync()).All<V1Role>(), HasLeases);
        var alone = await Rendered.ChartAsync("--set", "leaderElection.enabled=false,replicas=1");
        Assert.DoesNotContain(alone.All<V1Role>(), HasLeases);
        Assert.All(alone.One<V1Role>("moebius-operator-own-namespace").Rules, rule => Assert.Equal(["daemonsets"], rule.Resources));

        static bool HasLeases(V1Role role) => role.Rules.Any(rule => rule.Resources.Contains("leases"));
    }

    [Theory]
    [InlineData("nodeAgents.namespace=agents,networkPolicy.metricsFrom=null", 0)]
    [InlineData("nodeAgents.namespace=agents", 1)]
    public async Task Node_agents_are_reached_by_the_operator_and_by_whom_the_values_name(string values, int others)
    {
        var rendered = await Rendered.ChartAsync("--set", values);
        var policy = rendered.One<V1NetworkPolicy>("moebius-operator-node-agent");
        var profile = new MemorySchedulingProfile { Metadata = new V1ObjectMeta { Name = "p", Uid = "u" }, Spec = new MemorySchedulingProfileSpec { Agent = new NodeAgentSpec { Port = 9999 } } };
        var agent = MemorySchedulingProfilePlanner.Plan(profile, [], OperatorSettings.Default, ServerCapabilities.Latest).Children.OfType<V1DaemonSet>().Single().Spec.Template;

        Assert.Equal("agents", policy.Metadata.NamespaceProperty);
        Assert.All(policy.Spec.PodSelector.MatchLabels, label => Assert.Equal(label.Value, agent.Metadata.Labels[label.Key]));
        Assert.NotEqual(true, agent.Spec.HostNetwork);
        Assert.Equal(["Ingress", "Egress"], policy.Spec.PolicyTypes);
        var ingress = Assert.Single(policy.Spec.Ingress);
        Assert.Equal((Assert.Single(agent.Spec.Containers[0].Ports).Name, 9999), (Assert.Single(ingress.Ports).Port.Value, agent.Spec.Containers[0].Ports[0].ContainerPort));
        Assert.Equal("moebius-system", ingress.FromProperty[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]);
        var labels = rendered.One<V1Deployment>().Spec.Template.Metadata.Labels;
        Assert.All(ingress.FromProperty[0].PodSelector.MatchLabels, label => Assert.Equal(label.Value, labels[label.Key]));
        Assert.Equal(others, ingress.FromProperty.Count - 1);
        Assert.Equal(["53", "53", "443", "6443"], policy.Spec.Egress.SelectMany(rule => rule.Ports).Select(port => port.Port.ToString()));
        Assert.Equal(policy.Spec.Egress.Count, policy.Spec.Egress.Count(rule => rule.To is null));

        Assert.Equal("moebius-operator", Assert.Single((await Rendered.ChartAsync("--set", "watchNamespace=shop")).All<V1NetworkPolicy>()).Metadata.Name);
    }

    [Fact]
    public async Task Metrics_are_read_by_Prometheus_of_any_namespace_and_by_no_other_pod()
    {
        var rendered = await Rendered.ChartAsync();
        foreach (var policy in new[] { "moebius-operator", "moebius-operator-node-agent" })
        {
            var peer = Assert.Single(rendered.One<V1NetworkPolicy>(policy).Spec.Ingress).FromProperty[^1];
            Assert.Null(peer.NamespaceSelector.MatchLabels);
            Assert.Equal("prometheus", Assert.Single(peer.PodSelector.MatchLabels, label => label.Key == "app.kubernetes.io/name").Value);
        }
    }

    [Fact]
    public async Task Cert_manager_keeps_the_webhooks_certificate_and_the_operator_needs_no_secrets()
    {
        var rendered = await Rendered.ChartAsync("--set", "webhook.enabled=true,webhook.certManager.enabled=true");

        var certificate = rendered.OfKind("Certificate").Single()["spec"]!;
        Assert.Contains(certificate["dnsNames"]!.AsArray(), name => (string?)name == $"{rendered.All<V1Service>().Single(one => one.Metadata.Name.EndsWith("-webhook", StringComparison.Ordinal)).Metadata.Name}.moebius-system.svc");
        Assert.Equal(("Issuer", (string?)rendered.OfKind("Issuer").Single()["metadata"]!["name"]), ((string?)certificate["issuerRef"]!["kind"], (string?)certificate["issuerRef"]!["name"]));
        var pod = rendered.One<V1Deployment>().Spec.Template.Spec;
        Assert.Equal((string?)certificate["secretName"], Assert.Single(pod.Volumes).Secret.SecretName);
        Assert.Contains($"--webhook-cert-dir={Assert.Single(pod.Containers[0].VolumeMounts).MountPath}", pod.Containers[0].Args);
        Assert.Equal("moebius-system/moebius-operator-webhook", (string?)rendered.OfKind("ValidatingWebhookConfiguration").Single()["metadata"]!["annotations"]!["cert-manager.io/inject-ca-from"]);
        Assert.DoesNotContain(rendered.All<V1Role>(), role => role.Rules.Any(rule => rule.Resources.Contains("secrets")));

        var named = await Rendered.ChartAsync("--set", "webhook.enabled=true,webhook.certManager.enabled=true,webhook.certManager.issuerRef.name=ca,webhook.certManager.issuerRef.kind=ClusterIssuer");
        Assert.Empty(named.OfKind("Issuer"));
        Assert.Equal("ca", (string?)named.OfKind("Certificate").Single()["spec"]!["issuerRef"]!["name"]);
    }

    [Fact]
    public async Task One_PodMonitor_asks_each_program_where_its_metrics_are()
    {
        var endpoints = (await Rendered.ChartAsync("--set", "metrics.podMonitor.enabled=true")).OfKind("PodMonitor").Single()["spec"]!["podMetricsEndpoints"]!.AsArray();
        Assert.Equal(["http", "engine-metrics", "metrics"], endpoints.Select(one => (string?)one!["port"]));
        // An engine answers its clients there, and 404 to whoever asks for metrics.
        var left = Assert.Single(endpoints[0]!["relabelings"]!.AsArray())!;
        Assert.Equal(("drop", "inference"), ((string?)left["action"], (string?)left["regex"]));
        Assert.All(endpoints.Skip(1), one => Assert.Null(one!["relabelings"]));
    }

    [Fact]
    public async Task One_PodMonitor_for_all_keeps_pods_from_being_scraped_twice()
    {
        Assert.Contains("--shared-pod-monitor", (await Rendered.ChartAsync("--set", "metrics.podMonitor.enabled=true")).One<V1Deployment>().Spec.Template.Spec.Containers[0].Args);
        Assert.DoesNotContain("--shared-pod-monitor", (await Rendered.ChartAsync()).One<V1Deployment>().Spec.Template.Spec.Containers[0].Args);
    }

    [Fact]
    public async Task Names_of_Services_are_short_enough_whatever_the_release_is_called()
    {
        var rendered = Rendered.Parse((await Tool.HelmAsync("template", new string('a', 53), RepositoryFiles.At("charts/moebius"), "--set", $"webhook.enabled=true,nameOverride={new string('b', 46)}")).EnsureSuccess().StandardOutput);
        Assert.Equal(2, rendered.All<V1Service>().Count());
        Assert.All(rendered.All<V1Service>(), service => Assert.InRange(service.Metadata.Name.Length, 1, 63));
    }

    [Fact]
    public async Task A_probe_may_be_left_to_the_clusters_defaults() =>
        Assert.Equal("/healthz", (await Rendered.ChartAsync("--set", "livenessProbe=null")).One<V1Deployment>().Spec.Template.Spec.Containers[0].LivenessProbe.HttpGet.Path);

    [Theory]
    [InlineData("prod", "prod-moebius-operator")]
    [InlineData("moebius", "moebius-operator")]
    [InlineData("my-moebius-2", "my-moebius-2-operator")]
    public async Task Names_follow_the_release(string release, string name)
    {
        var rendered = Rendered.Parse((await Tool.HelmAsync("template", release, RepositoryFiles.At("charts/moebius"))).EnsureSuccess().StandardOutput);

        Assert.Equal(name, rendered.One<V1Deployment>().Metadata.Name);
        Assert.Equal(name, rendered.One<V1ServiceAccount>().Metadata.Name);
    }

    [Fact]
    public async Task Releases_of_two_namespaces_share_no_cluster_wide_name()
    {
        var names = new List<string>();
        foreach (var space in new[] { "a", "b" })
        {
            var rendered = Rendered.Parse((await Tool.HelmAsync("template", "moebius", RepositoryFiles.At("charts/moebius"), "-n", space, "--set", $"watchNamespace={space}")).EnsureSuccess().StandardOutput);
            names.AddRange(rendered.Objects.Where(one => one["metadata"]!["namespace"] is null).Select(Rendered.Name));
        }

        Assert.NotEmpty(names);
        Assert.Equal(names.Count, names.Distinct().Count());
    }

    [Fact]
    public async Task Everything_with_a_namespace_says_so()
    {
        string[] clusterScoped = ["Namespace", "ClusterRole", "ClusterRoleBinding"];
        var rendered = await Rendered.ChartAsync("--set", "dashboards.enabled=true,prometheusRule.enabled=true,metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true");

        Assert.All(rendered.Objects, one => Assert.Equal(!clusterScoped.Contains((string)one["kind"]!), one["metadata"]!["namespace"] is JsonValue));
    }
}
