using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.Policies;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Planning.PromptOptimizers;

namespace Moebius.Operator.Tests.Planning;

public sealed class KVPrivacyPolicyPlannerTests
{
    private static readonly Dictionary<string, V1ConfigMap> NoMaps = [];

    [Fact]
    public void The_rendered_policy_carries_its_generation_and_no_other_metadata()
    {
        var yaml = KVPrivacyPolicyPlanner.Plan(Samples.Policy("mode: SafeKV\nretention: {privateIdle: 5m}"), NoMaps).Child<V1ConfigMap>().Data["policy.yaml"];
        var read = Manifests.Convert<KVPrivacyPolicy>(Manifests.ParseDocuments(yaml, "p")[0], "p");
        Assert.Equal(7, read.Metadata.Generation);
        Assert.Equal("strict", read.Metadata.Name);
        Assert.Null(read.Metadata.Uid);
        Assert.Equal("5m", read.Spec.Retention.PrivateIdle);
    }

    [Fact]
    public void Prefixes_from_config_maps_are_written_out_and_missing_ones_named()
    {
        var policy = Samples.Policy("publicPrefixes: [{name: house, configMapRef: {name: prompts, key: house}}]");
        Assert.Contains("there is no ConfigMap 'prompts'", Assert.Single(KVPrivacyPolicyPlanner.Plan(policy, NoMaps).Problems).Message, StringComparison.Ordinal);
        var maps = new Dictionary<string, V1ConfigMap> { ["prompts"] = new() { Data = new Dictionary<string, string> { ["other"] = "x" } } };
        Assert.Contains("has no key 'house': it has other", Assert.Single(KVPrivacyPolicyPlanner.Plan(policy, maps).Problems).Message, StringComparison.Ordinal);
        maps["prompts"].Data["house"] = "You are kind.\n";
        var yaml = KVPrivacyPolicyPlanner.Plan(policy, maps).Child<V1ConfigMap>().Data["policy.yaml"];
        var prefix = Assert.Single(Manifests.Convert<KVPrivacyPolicy>(Manifests.ParseDocuments(yaml, "p")[0], "p").Spec.PublicPrefixes!);
        Assert.Equal("You are kind.\n", prefix.Text);
        Assert.Null(prefix.ConfigMapRef);
    }

    [Theory]
    [InlineData("rules: {custom: [{name: a, pattern: '(?<=x)y'}]}", "spec.rules.custom[a].pattern: '(?<=x)y' is not usable: look-around")]
    [InlineData("rules: {custom: [{name: a, pattern: '['}]}", "spec.rules.custom[a].pattern: '[' is not usable")]
    [InlineData("rules: {custom: [{name: a, pattern: x}, {name: a, pattern: y}]}", "spec.rules.custom[1].name: 'a' stands at spec.rules.custom[0] already")]
    [InlineData("rules: {disabled: [Email, Email]}", "spec.rules.disabled[1]: 'Email' stands at spec.rules.disabled[0] already")]
    [InlineData("classifier: {publicBelowPercent: 80}", "spec.classifier: publicBelowPercent must not exceed privateAbovePercent")]
    [InlineData("publicPrefixes: [{name: a}]", "spec.publicPrefixes[0]: exactly one of text and configMapRef must be set")]
    [InlineData("contextCheck: {endpoint: {url: 'http://a/v1', model: m}}", "spec: contextCheck judges what the classifier leaves open: set classifier.type to BuiltIn or Onnx")]
    [InlineData("{classifier: {type: BuiltIn}, contextCheck: {endpoint: {url: 'http://:/v1', model: m}}}", "spec.contextCheck.endpoint.url: 'http://:/v1' is not a URL")]
    [InlineData("{classifier: {type: BuiltIn}, contextCheck: {endpoint: {url: 'http://a/v1', model: m, timeout: 0s}}}", "spec.contextCheck.endpoint.timeout: ")]
    [InlineData("classifier: {type: Onnx, onnx: {}}", "spec.classifier.onnx: exactly one of claimName and image must be set")]
    [InlineData("classifier: {type: Onnx, onnx: {claimName: c, path: a/../../b}}", "spec.classifier.onnx.path: 'a/../../b': path must be relative and stay inside the volume")]
    [InlineData("monitor: {window: 0s}", "spec.monitor.window: '0s' must be longer than 0s")]
    [InlineData("identity: {tenantHeader: X-A, signature: {header: x-a, secretRef: {name: s, key: k}}}", "spec.identity: signature.header must be another one than tenantHeader")]
    [InlineData("monitor: {window: ''}", "spec.monitor.window: '' is not a duration")]
    public void Mistakes_are_named_and_nothing_is_rendered(string spec, string message)
    {
        var plan = KVPrivacyPolicyPlanner.Plan(Samples.Policy(spec), NoMaps);
        Assert.Empty(plan.Children);
        Assert.StartsWith(message, Assert.Single(plan.Problems).Message, StringComparison.Ordinal);
    }
}

public sealed class MemorySchedulingProfilePlannerTests
{
    private static readonly DateTime Old = new(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    private static Plan Plan(MemorySchedulingProfile profile, params MemorySchedulingProfile[] others) =>
        MemorySchedulingProfilePlanner.Plan(profile, [profile, .. others], OperatorSettings.Default, ServerCapabilities.Latest);

    [Fact]
    public void The_agent_runs_in_the_operators_namespace_and_reads_the_profile()
    {
        var plan = Plan(Samples.Profile("nodeSelector: {cxl: 'yes'}\nworkloads: [{name: w, podSelector: {matchLabels: {a: b}}, intent: ReadHeavy}]"));
        Assert.All(plan.Children, child => Assert.Equal("moebius-system", child.Metadata.NamespaceProperty));
        var config = Manifests.Convert<NodeAgentConfig>(Manifests.ParseDocuments(plan.Child<V1ConfigMap>().Data["agent.yaml"], "c")[0], "c");
        Assert.Equal("cxl", config.Profile);
        Assert.Equal(MemoryIntent.ReadHeavy, Assert.Single(config.Workloads!).Intent);
        var pod = plan.Child<V1DaemonSet>().Spec.Template.Spec;
        Assert.Equal("yes", pod.NodeSelector["cxl"]);
        Assert.True(pod.HostPID);
        var agent = Assert.Single(pod.Containers);
        Assert.Equal(["cxl", "agent", "--config=/etc/moebius/config/agent.yaml", "--sysfs=/sys", "--cgroups=/sys/fs/cgroup", "--listen=0.0.0.0:9402"], agent.Args);
        Assert.Equal(["ALL"], agent.SecurityContext.Capabilities.Drop);
        Assert.Equal(["BPF", "PERFMON", "SYS_NICE"], agent.SecurityContext.Capabilities.Add);
        Assert.Equal((null, false, true), (agent.SecurityContext.Privileged, agent.SecurityContext.AllowPrivilegeEscalation!.Value, agent.SecurityContext.ReadOnlyRootFilesystem!.Value));
        Assert.True(Plan(Samples.Profile("agent: {privilege: Privileged}")).Child<V1DaemonSet>().Spec.Template.Spec.Containers[0].SecurityContext.Privileged);
    }

    [Fact]
    public void The_agent_may_write_weights_where_AppArmor_or_a_seccomp_profile_would_not_let_it()
    {
        var profile = Samples.Profile();
        var today = Plan(profile).Child<V1DaemonSet>().Spec.Template;
        Assert.Equal(("Unconfined", "Unconfined"), (today.Spec.Containers[0].SecurityContext.SeccompProfile.Type, today.Spec.Containers[0].SecurityContext.AppArmorProfile.Type));
        Assert.DoesNotContain(today.Metadata.Annotations.Keys, key => key.Contains("apparmor", StringComparison.Ordinal));
        var older = MemorySchedulingProfilePlanner.Plan(profile, [profile], OperatorSettings.Default, new ServerCapabilities(new Version(1, 29), ["apps/v1"])).Child<V1DaemonSet>().Spec.Template;
        Assert.Null(older.Spec.Containers[0].SecurityContext.AppArmorProfile);
        Assert.Equal("unconfined", older.Metadata.Annotations["container.apparmor.security.beta.kubernetes.io/agent"]);
    }

    [Theory]
    [InlineData("policy: {strategy: Auto}", false)]
    [InlineData("policy: {strategy: Interleave}", false)]
    [InlineData("policy: {strategy: Observe}", true)]
    public void The_agent_writes_to_no_folder_of_its_node_but_those_that_it_needs(string spec, bool readsOnly)
    {
        var pod = Plan(Samples.Profile(spec)).Child<V1DaemonSet>().Spec.Template.Spec;
        Assert.Equal(["/sys", "/sys/fs/cgroup", "/run/moebius"], pod.Volumes.Where(volume => volume.HostPath is not null).Select(volume => volume.HostPath.Path));
        Assert.Equal(
            readsOnly ? ["/run/moebius"] : ["/sys", "/run/moebius"],
            pod.Containers[0].VolumeMounts.Where(mount => mount.ReadOnlyProperty != true).Select(mount => mount.MountPath));
    }

    [Fact]
    public void What_the_agent_must_undo_outlives_its_container()
    {
        var pod = Plan(Samples.Profile()).Child<V1DaemonSet>().Spec.Template.Spec;
        var volume = pod.Volumes.Single(volume => volume.Name == "state");
        Assert.Equal(("/run/moebius", "DirectoryOrCreate"), (volume.HostPath.Path, volume.HostPath.Type));
        Assert.Equal("/run/moebius", pod.Containers[0].VolumeMounts.Single(mount => mount.Name == "state").MountPath);
    }

    [Theory]
    [InlineData("SchedExt StandingBy NoCxlMemory", ConditionStatus.True, "AsExpected", "3 agents do what their nodes allow")]
    [InlineData("SchedExt ProgramRejected NotPermitted ProgramRejected", ConditionStatus.False, "ProgramRejected", "3 of 4 nodes: n1: ProgramRejected: why n1; n3: ProgramRejected: why n3; n2: NotPermitted: why n2")]
    [InlineData("SchedulerExited SchedulerExited SchedulerExited SchedulerExited", ConditionStatus.False, "SchedulerExited", "4 of 4 nodes: n0: SchedulerExited: why n0; n1: SchedulerExited: why n1; n2: SchedulerExited: why n2; ...")]
    public void What_failed_on_nodes_is_a_condition_in_their_own_words(string reasons, ConditionStatus status, string reason, string message)
    {
        var nodes = reasons.Split(' ').Select((one, index) => new NodeMemoryStatus { Name = $"n{index}", Reason = one, Message = $"why n{index}" }).ToList();
        Assert.Equal(new PlannedCondition(ConditionTypes.NodesAsExpected, status, reason, message), Assert.Single(NodeConditions.Of(nodes)));
        Assert.Empty(NodeConditions.Of([]));
    }

    [Fact]
    public void What_nodes_cannot_honour_is_a_condition_too_and_what_failed_comes_first()
    {
        List<NodeMemoryStatus> nodes =
        [
            new() { Name = "n0", Reason = "StandingBy" },
            new() { Name = "n1", Reason = "StandingBy", NotHonoured = ["telemetry.source: PerfEvents is not available here"] },
            new() { Name = "n2", Reason = "NoCxlMemory", NotHonoured = ["workloads: 1 hints are not applied", "moebius.dev/memory-intent: 2 pods have an annotation that is none of ReadHeavy"] },
        ];
        Assert.Equal(
            new PlannedCondition(ConditionTypes.NodesAsExpected, ConditionStatus.False, "SettingNotHonoured", "2 of 3 nodes: n1: SettingNotHonoured: telemetry.source: PerfEvents is not available here; n2: SettingNotHonoured: workloads: 1 hints are not applied (and 1 more)"),
            Assert.Single(NodeConditions.Of(nodes)));
        nodes[2].Reason = "NotPermitted";
        nodes[2].Message = "why";
        Assert.StartsWith("2 of 3 nodes: n2: NotPermitted: why; n1: ", Assert.Single(NodeConditions.Of(nodes)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_profile_whose_nodes_all_belong_to_an_older_one_is_refused_by_name()
    {
        var plan = Plan(Samples.Profile("nodeSelector: {a: b}", "young", Old.AddDays(1)), Samples.Profile(name: "elder", created: Old));
        Assert.Empty(plan.Children);
        Assert.Contains("older profile 'elder'", Assert.Single(plan.Problems).Message, StringComparison.Ordinal);
        Assert.True(plan.Withdraws);
    }

    [Fact]
    public void The_younger_of_two_overlapping_profiles_keeps_away_from_the_olders_nodes()
    {
        var elder = Samples.Profile("nodeSelector: {zone: a, cxl: 'yes'}", "elder", Old);
        var young = Samples.Profile("nodeSelector: {zone: a}", "young", Old.AddDays(1));
        Assert.Null(Plan(elder, young).Child<V1DaemonSet>().Spec.Template.Spec.Affinity);
        var terms = Plan(young, elder).Child<V1DaemonSet>().Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms;
        var requirement = Assert.Single(Assert.Single(terms).MatchExpressions);
        Assert.Equal(("cxl", "NotIn", "yes"), (requirement.Key, requirement.OperatorProperty, Assert.Single(requirement.Values)));
        Assert.Equal(new PlannedCondition(ConditionTypes.Overlaps, ConditionStatus.True, Reasons.ProfilesOverlap, "nodes that an older profile selects, too, are that one's: 'elder'"), Assert.Single(Plan(young, elder).Conditions));
        Assert.Empty(Plan(elder, young).Conditions);
    }

    [Theory]
    [InlineData("agent: {resources: {requests: {gpu: 1}}}")]
    [InlineData("nodeSelector: {'a b': c}")]
    [InlineData("nodeSelector: {zone: a}\ntelemetry: {interval: 50ms}")]
    [InlineData("policy: null")]
    public void An_older_profile_that_is_not_valid_and_has_no_agents_takes_no_nodes(string spec)
    {
        var plan = Plan(Samples.Profile("nodeSelector: {zone: a}", "young", Old.AddDays(1)), Samples.Profile(spec, "elder", Old));
        Assert.Empty(plan.Problems);
        Assert.Empty(plan.Conditions);
        Assert.Null(plan.Child<V1DaemonSet>().Spec.Template.Spec.Affinity);
    }

    [Fact]
    public void An_older_profile_whose_agents_run_keeps_its_nodes_through_a_mistake()
    {
        // Its DaemonSet is left as it is: with the younger one's there would be two agents on a node.
        var elder = Samples.Profile("nodeSelector: {cxl: 'yes'}\ntelemetry: {interval: 50ms}", "elder", Old);
        elder.Status = new MemorySchedulingProfileStatus { DesiredNodes = 2 };
        var plan = Plan(Samples.Profile("nodeSelector: {zone: a}", "young", Old.AddDays(1)), elder);
        Assert.NotNull(plan.Child<V1DaemonSet>().Spec.Template.Spec.Affinity);
        Assert.Equal(ConditionTypes.Overlaps, Assert.Single(plan.Conditions).Type);

        // It may have been given more nodes with the mistake, where it has no agents yet: those of others stay.
        elder.Spec.NodeSelector = null;
        var covered = Plan(Samples.Profile("nodeSelector: {zone: a}", "young", Old.AddDays(1)), elder);
        Assert.Equal((true, false), (covered.IsBlocked, covered.Withdraws));

        // Labels that no node can have would spoil the affinity of the younger one.
        elder.Spec.NodeSelector = new Dictionary<string, string> { ["a b"] = "c" };
        Assert.Null(Plan(Samples.Profile("nodeSelector: {zone: a}", "young", Old.AddDays(1)), elder).Child<V1DaemonSet>().Spec.Template.Spec.Affinity);
    }

    [Theory]
    [InlineData("agent: {resources: {requests: {gpu: 1}}}", "spec.agent.resources.requests[gpu]: is no resource of containers")]
    [InlineData("agent: {tolerations: [{}]}", "spec.agent.tolerations[0].operator: must be Exists where no key is given")]
    [InlineData("nodeSelector: {'a b': c}", "spec.nodeSelector[a b]: 'a b' is not the key of a label")]
    [InlineData("workloads: [{name: w, intent: ReadHeavy, podSelector: {matchLabels: {a: 'b c'}}}]", "spec.workloads[w].podSelector.matchLabels[a]: 'b c' is not the value of a label")]
    [InlineData("workloads: [{name: w, intent: ReadHeavy, podSelector: {}, namespaceSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]", "spec.workloads[w].namespaceSelector.matchExpressions[0].values: must be given for In and NotIn, and only then")]
    [InlineData("telemetry: {interval: 50ms}", "spec.telemetry.interval: '50ms' must be 100ms or longer")]
    public void Mistakes_are_named_and_no_agent_is_made(string spec, string message)
    {
        // Even where another profile takes all nodes: that would hide the mistake.
        var plan = Plan(Samples.Profile(spec, "young", Old.AddDays(1)), Samples.Profile(name: "elder", created: Old));
        Assert.Empty(plan.Children);
        Assert.StartsWith(message, Assert.Single(plan.Problems).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Agents_are_pulled_as_the_spec_says()
    {
        var pod = Plan(Samples.Profile("agent: {imagePullPolicy: Always, imagePullSecrets: [{name: registry}]}")).Child<V1DaemonSet>().Spec.Template.Spec;
        Assert.Equal(("registry", "Always"), (Assert.Single(pod.ImagePullSecrets).Name, Assert.Single(pod.Containers).ImagePullPolicy));
    }

    [Fact]
    public void A_profile_without_nodes_says_so()
    {
        var profile = Samples.Profile("nodeSelector: {cxl: 'yes'}");
        var plan = Plan(profile);
        var ready = StatusPlanner.MemorySchedulingProfile(profile, plan, Observation.Of(plan, [], new WorkloadStatus(0, 0, 0, 0, 0, true, false), []), [], DateTimeOffset.UnixEpoch)
            .Conditions!.Single(condition => condition.Type == ConditionTypes.Ready);
        Assert.Equal(("True", Reasons.NoNodes), (ready.Status, ready.Reason));
    }

    [Fact]
    public void Agents_that_are_not_made_are_told_with_where_the_reason_is()
    {
        var profile = Samples.Profile();
        var plan = Plan(profile);
        var ready = StatusPlanner.MemorySchedulingProfile(profile, plan, Observation.Of(plan, [], new WorkloadStatus(3, 1, 1, 1, 1, true, false), []), [], DateTimeOffset.UnixEpoch)
            .Conditions!.Single(condition => condition.Type == ConditionTypes.Ready);
        Assert.Equal(
            ("False", $"1 of 3 pods answer, 1 run the current template; 2 are not made yet; if it stays so, the events of DaemonSet '{Names.NodeAgent(profile.Metadata.Name)}' say why"),
            (ready.Status, ready.Message));
    }

    [Fact]
    public void Profiles_that_cannot_meet_do_not_know_of_each_other() =>
        Assert.Null(Plan(Samples.Profile("nodeSelector: {zone: b}", "young", Old.AddDays(1)), Samples.Profile("nodeSelector: {zone: a}", "elder", Old))
            .Child<V1DaemonSet>().Spec.Template.Spec.Affinity);
}

public sealed class PromptOptimizerPlannerTests
{
    private static Plan Plan(PromptOptimizer resource, MoEDeployment? model = null, ServerCapabilities? server = null) => PromptOptimizerPlanner.Plan(resource, model, OperatorSettings.Default, server ?? ServerCapabilities.Latest);

    [Fact]
    public void The_pod_runs_where_the_spec_says_and_its_image_is_pulled_with_its_secrets()
    {
        var pod = Plan(Samples.Optimizer("""
            languageModel: {endpoint: {url: 'https://x/v1', model: m}}
            imagePullSecrets: [{name: registry}]
            placement: {nodeSelector: {pool: small}, tolerations: [{key: dedicated, operator: Exists}], priorityClassName: batch}
            """)).Child<V1Deployment>().Spec.Template.Spec;
        Assert.Equal("registry", Assert.Single(pod.ImagePullSecrets).Name);
        Assert.Equal(new Dictionary<string, string> { ["pool"] = "small" }, pod.NodeSelector);
        Assert.Equal(("dedicated", "batch"), (Assert.Single(pod.Tolerations).Key, pod.PriorityClassName));
    }

    [Fact]
    public void A_MoEDeployment_is_resolved_to_its_service_and_its_model()
    {
        var plan = Plan(Samples.Optimizer(), Samples.MoE("serving: {port: 8123}"));
        var config = Manifests.Convert<PromptOptimizerConfig>(Manifests.ParseDocuments(plan.Child<V1ConfigMap>().Data["optimizer.yaml"], "c")[0], "c");
        Assert.Equal("http://austen.shop.svc:8123/v1", config.LanguageModel.Url);
        Assert.Equal("austen", config.LanguageModel.Model);
        var deployment = plan.Child<V1Deployment>();
        Assert.Equal("Recreate", deployment.Spec.Strategy.Type);
        Assert.Equal("sculptor-optimizer-data", deployment.Spec.Template.Spec.Volumes.Single(volume => volume.Name == "data").PersistentVolumeClaim.ClaimName);
        Assert.Equal("1Gi", plan.Child<V1PersistentVolumeClaim>().Spec.Resources.Requests["storage"].ToString());
    }

    [Theory]
    [InlineData("", "60s")]
    [InlineData(", timeout: 5m", "5m")]
    public void A_call_to_a_MoEDeployment_may_take_as_long_as_the_spec_says(string field, string timeout)
    {
        var plan = Plan(Samples.Optimizer($"languageModel: {{moeDeploymentRef: {{name: austen}}{field}}}"), Samples.MoE());
        Assert.Equal(timeout, Manifests.Convert<PromptOptimizerConfig>(Manifests.ParseDocuments(plan.Child<V1ConfigMap>().Data["optimizer.yaml"], "c")[0], "c").LanguageModel.Timeout);
    }

    [Fact]
    public void A_secret_reaches_the_environment_and_never_the_configuration()
    {
        var plan = Plan(Samples.Optimizer("languageModel: {endpoint: {url: 'https://x/v1', model: m, apiKeySecretRef: {name: key, key: llm-token}}}"));
        Assert.DoesNotContain("llm-token", plan.Child<V1ConfigMap>().Data["optimizer.yaml"], StringComparison.Ordinal);
        var variable = plan.Child<V1Deployment>().Spec.Template.Spec.Containers[0].Env.Single(one => one.Name == "MOEBIUS_LLM_API_KEY");
        Assert.Equal(("key", "llm-token"), (variable.ValueFrom.SecretKeyRef.Name, variable.ValueFrom.SecretKeyRef.Key));
    }

    [Fact]
    public void A_missing_MoEDeployment_is_named()
    {
        var plan = Plan(Samples.Optimizer());
        Assert.Empty(plan.Children);
        Assert.Contains(plan.Conditions, condition => condition is { Type: ConditionTypes.ModelResolved, Status: ConditionStatus.False, Reason: Reasons.MoEDeploymentNotFound });
    }

    [Fact]
    public void Callers_and_the_operator_come_in_and_only_its_models_are_called()
    {
        var policy = Plan(Samples.Optimizer("port: 9000\nlanguageModel: {moeDeploymentRef: {name: austen}}\nscorer: {type: VisionLanguageModel, endpoint: {url: 'http://10.0.0.7:81/v1', model: m}}\nimageModel: {api: OpenAI, endpoint: {url: 'https://images.example.com/v1', model: m}}"), Samples.MoE("serving: {port: 8123}")).Child<V1NetworkPolicy>();
        Assert.Equal("sculptor-optimizer", policy.Metadata.Name);
        Assert.Equal(Labels.Selector(Components.PromptOptimizer, "sculptor"), policy.Spec.PodSelector.MatchLabels);
        Assert.Equal(["Ingress", "Egress"], policy.Spec.PolicyTypes);
        Assert.Equal(["own pods 9000", "moebius-system 9000"], policy.Spec.Ingress.Select(rule => Text(Assert.Single(rule.FromProperty), rule.Ports)));
        Assert.Equal(
            ["* 53 53", $"{Components.Inference}/austen 8123", "10.0.0.7/32 81", "* 443"],
            policy.Spec.Egress.Select(rule => Text(rule.To is null ? null : Assert.Single(rule.To), rule.Ports)));
    }

    [Theory]
    [InlineData("http://vllm/v1", "shop *")]
    [InlineData("http://vllm.models/v1", "models *; * 80")]
    [InlineData("http://vllm.models.svc/v1", "models *")]
    [InlineData("http://[fd00::1]:8000/v1", "fd00::1/128 8000")]
    public void A_named_endpoint_is_the_only_way_out(string url, string ways) =>
        Assert.Equal(
            $"* 53 53; {ways}",
            string.Join("; ", Plan(Samples.Optimizer($"languageModel: {{endpoint: {{url: '{url}', model: m}}}}"), Samples.MoE()).Child<V1NetworkPolicy>().Spec.Egress.Select(rule => Text(rule.To is null ? null : Assert.Single(rule.To), rule.Ports))));

    [Fact]
    public void Who_may_come_is_the_users_to_say()
    {
        static Plan With(string policy, ServerCapabilities? server = null) => Plan(Samples.Optimizer($"languageModel: {{moeDeploymentRef: {{name: austen}}}}\nnetworkPolicy: {policy}"), Samples.MoE(), server);
        Assert.Equal("moebius-system 8080", Text(Assert.Single(Assert.Single(With("{allowFrom: []}").Child<V1NetworkPolicy>().Spec.Ingress).FromProperty), [Traffic.Port(8080)]));
        Assert.Equal("10.0.0.0/8", With("{allowFrom: [{ipBlock: {cidr: 10.0.0.0/8}}]}").Child<V1NetworkPolicy>().Spec.Ingress[0].FromProperty[0].IpBlock.Cidr);
        Assert.Equal(2, With("{allowMetricsFrom: [{namespaceSelector: {}}]}").Child<V1NetworkPolicy>().Spec.Ingress[1].FromProperty.Count);
        Assert.Empty(With("{enabled: false}").Children.OfType<V1NetworkPolicy>());

        var bare = With("{}", new ServerCapabilities(new Version(1, 36), ["v1", "apps/v1"]));
        Assert.Empty(bare.Children.OfType<V1NetworkPolicy>());
        Assert.NotEmpty(bare.Children);
        Assert.Equal(Reasons.ServerCapabilityMissing, Assert.Single(bare.Problems).Reason);
    }

    private static string Text(V1NetworkPolicyPeer? peer, IList<V1NetworkPolicyPort>? ports)
    {
        var where = peer switch
        {
            null => "*",
            { IpBlock: { } block } => block.Cidr,
            { NamespaceSelector: { } other } => other.MatchLabels["kubernetes.io/metadata.name"],
            { PodSelector.MatchLabels: { } labels } => $"{labels["app.kubernetes.io/component"]}/{labels["app.kubernetes.io/instance"]}",
            _ => "own pods",
        };
        return $"{where} {(ports is null ? "*" : string.Join(' ', ports.Select(port => port.Port.ToString())))}";
    }

    [Theory]
    [InlineData("languageModel: {endpoint: {url: 'http://[::', model: m}}", "spec.languageModel.endpoint.url: 'http://[::' is not a URL with a host")]
    [InlineData("languageModel: {endpoint: {url: 'http://a:0/v1', model: m}}", "spec.languageModel.endpoint.url: 'http://a:0/v1' is not a URL with a host")]
    [InlineData("languageModel: {endpoint: {url: 'http://u:p@a/v1', model: m}}", "spec.languageModel.endpoint.url: must not hold a user or password")]
    [InlineData("languageModel: {endpoint: {url: 'http://a/v1?k=v', model: m}}", "spec.languageModel.endpoint.url: 'http://a/v1?k=v' must not have a query")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nnetworkPolicy: {allowFrom: [{}]}", "spec.networkPolicy.allowFrom[0]: must have either ipBlock, or podSelector")]
    [InlineData("languageModel: {timeout: 5s, endpoint: {url: 'http://a/v1', model: m}}", "spec.languageModel: timeout is for moeDeploymentRef: write endpoint.timeout")]
    [InlineData("languageModel: {timeout: 1ms, moeDeploymentRef: {name: a}}", "spec.languageModel.timeout: '1ms' must be 10ms to 24h")]
    [InlineData("languageModel: {}", "spec.languageModel: exactly one of moeDeploymentRef and endpoint must be set")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nstore: {type: PostgreSQL}", "spec.store: connectionSecretRef must be set for type PostgreSQL and only then")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nstore: {type: PostgreSQL, address: 'db:70000', connectionSecretRef: {name: s, key: k}}", "spec.store.address: 'db:70000' is not a host and port: write one such as db.shop.svc:5432")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nreplicas: 2", "spec: replicas must be 1 with store.type Sqlite")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\njobs: {retention: 30s}", "spec.jobs.retention: '30s' must be 1m or longer")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nstore: {size: 0}", "spec.store.size: '0' is nothing")]
    [InlineData("languageModel: {endpoint: {url: 'http://a', model: m, timeout: 0s}}", "spec.languageModel.endpoint.timeout: '0s' must be 10ms to 24h")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nresources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}", "spec.resources.requests[memory]: '2Gi' is more than the limit of '1Gi'")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nplacement: {nodeSelector: {'a b': c}}", "spec.placement.nodeSelector[a b]: 'a b' is not the key of a label")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nplacement: {tolerations: [{operator: Exists, value: x}]}", "spec.placement.tolerations[0].value: 'x' has no meaning with operator Exists")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nscorer: {type: Clip, clip: {claimName: c}}", "spec.scorer.type: Clip judges images and spec.imageModel is not set: set it, or write Text")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nscorer: {type: Clip}", "spec.scorer: clip must be set for type Clip and only then")]
    [InlineData("languageModel: {moeDeploymentRef: {name: a}}\nrounds: {max: 99}", "spec.rounds.max: 99 is out of range")]
    public void Mistakes_are_named(string spec, string message) =>
        Assert.StartsWith(message, Assert.Single(Plan(Samples.Optimizer(spec)).Problems).Message, StringComparison.Ordinal);
}
