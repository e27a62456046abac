using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;

namespace Moebius.Operator.Tests.Planning;

public sealed class MoEDeploymentPlannerTests
{
    private static Plan Plan(MoEDeployment resource, MoEReferences? references = null, ServerCapabilities? server = null) =>
        MoEDeploymentPlanner.Plan(resource, references ?? MoEReferences.None, OperatorSettings.Default, server ?? ServerCapabilities.Latest);

    private static MoEReferences With(KVPrivacyPolicy policy) => new(policy, KVPrivacyPolicyPlanner.Plan(policy, new Dictionary<string, V1ConfigMap>()), null);

    [Fact]
    public void A_minimal_resource_becomes_all_its_children()
    {
        var plan = Plan(Samples.MoE());
        Assert.Empty(plan.Problems);
        Assert.Equal(
            ["ServiceAccount/austen", "ConfigMap/austen-config", "Service/austen", "NetworkPolicy/austen", "PodDisruptionBudget/austen", "Deployment/austen"],
            plan.Children.Select(child => $"{child.Kind}/{child.Metadata.Name}"));
    }

    [Fact]
    public void The_containers_keep_the_pod_contract()
    {
        var pod = Plan(Samples.MoE("kvCache: {memory: 64Mi}")).Child<V1Deployment>().Spec.Template.Spec;
        var inference = Assert.Single(pod.Containers);
        Assert.Equal(
            [
                "serve", "--config=/etc/moebius/config/inference.yaml", "--model=/models/model", "--listen=0.0.0.0:8000", "--metrics-listen=0.0.0.0:9400",
                "--kv-socket=/run/moebius/kvcache.sock", "--policy=/etc/moebius/policy/policy.yaml",
            ],
            inference.Args);
        var check = pod.InitContainers[0];
        Assert.Equal(
            ["model", "size", "--model=/models/model", "--config=/etc/moebius/config/inference.yaml", "--arena-size=64Mi", "--report=/dev/termination-log"],
            check.Args);
        Assert.Null(check.RestartPolicy);
        Assert.Equal(("inference", "limits.memory"), (check.Env[1].ValueFrom.ResourceFieldRef.ContainerName, check.Env[1].ValueFrom.ResourceFieldRef.Resource));
        var sidecar = pod.InitContainers[1];
        Assert.Equal("Always", sidecar.RestartPolicy);
        Assert.Equal(
            [
                "kvcache", "serve", "--config=/etc/moebius/config/kvcache.yaml", "--socket=/run/moebius/kvcache.sock",
                "--arena=/run/moebius/arena/kv.arena", "--arena-size=64Mi", "--policy=/etc/moebius/policy/policy.yaml", "--listen=0.0.0.0:9401",
            ],
            sidecar.Args);
        Assert.Equal("64Mi", pod.Volumes.Single(volume => volume.Name == "arena").EmptyDir.SizeLimit.ToString());
        foreach (var container in new[] { inference, sidecar })
        {
            Assert.Equal(["moebius"], container.Command);
            Assert.Equal("FallbackToLogsOnError", container.TerminationMessagePolicy);
            Assert.True(container.SecurityContext.ReadOnlyRootFilesystem);
            Assert.Equal(["ALL"], container.SecurityContext.Capabilities.Drop);
            // A loading model is never killed: at least an hour.
            Assert.Equal(container.Name == "inference" ? ("engine-metrics", "engine-metrics", "http") : ("metrics", "metrics", "metrics"), (container.StartupProbe.HttpGet.Port.Value, container.LivenessProbe.HttpGet.Port.Value, container.ReadinessProbe.HttpGet.Port.Value));
            Assert.True(container.StartupProbe.PeriodSeconds * container.StartupProbe.FailureThreshold >= 3600);
        }
    }

    [Fact]
    public void A_server_before_native_sidecars_gets_a_plain_container_and_is_told_what_it_lacks()
    {
        var plan = Plan(Samples.MoE(), server: Samples.Old);
        var pod = plan.Child<V1Deployment>().Spec.Template.Spec;
        Assert.Equal(["kvcache", "inference"], pod.Containers.Select(container => container.Name));
        Assert.All(pod.Containers, container => Assert.Null(container.RestartPolicy));
        Assert.Equal("size", Assert.Single(pod.InitContainers).Name);
        Assert.Null(pod.Containers[1].Lifecycle.PreStop.Sleep);
        Assert.Empty(plan.Children.OfType<V1PodDisruptionBudget>());
        var problem = Assert.Single(plan.Problems);
        Assert.Equal(Reasons.ServerCapabilityMissing, problem.Reason);
        Assert.Contains("policy/v1", problem.Message, StringComparison.Ordinal);
        Assert.False(plan.IsBlocked);
    }

    [Fact]
    public void A_pod_with_limits_that_are_its_requests_is_guaranteed_and_devices_are_for_the_engine_alone()
    {
        const string Spec = "resources: {requests: {cpu: 2, memory: 8Gi}, limits: {cpu: 2, memory: 8Gi, nvidia.com/gpu: 1}}\nkvCache: {memory: 64Mi, resources: {requests: {cpu: 1, memory: 256Mi}, limits: {cpu: 1, memory: 256Mi}}}";
        var pod = Plan(Samples.MoE(Spec)).Child<V1Deployment>().Spec.Template.Spec;
        foreach (var resources in pod.InitContainers.Concat(pod.Containers).Select(container => container.Resources))
        {
            foreach (var name in new[] { "cpu", "memory" })
                Assert.Equal(resources.Limits[name].ToString(), resources.Requests[name].ToString());
        }

        Assert.Equal("inference", Assert.Single(pod.InitContainers.Concat(pod.Containers), container => container.Resources.Limits.ContainsKey("nvidia.com/gpu")).Name);
    }

    [Fact]
    public void Without_a_cache_there_is_neither_sidecar_nor_arena()
    {
        var plan = Plan(Samples.MoE("kvCache: {enabled: false}"));
        var pod = plan.Child<V1Deployment>().Spec.Template.Spec;
        Assert.Equal("size", Assert.Single(pod.InitContainers).Name);
        Assert.DoesNotContain(pod.Containers[0].Args, argument => argument.StartsWith("--kv-socket", StringComparison.Ordinal));
        Assert.DoesNotContain(pod.Volumes, volume => volume.Name is "arena" or "run");
        Assert.Contains("--policy=/etc/moebius/policy/policy.yaml", pod.Containers[0].Args);
    }

    [Fact]
    public void The_rendered_files_are_what_the_containers_read()
    {
        var data = Plan(Samples.MoE("experts: {fastMemory: 4Mi, slowTier: MemoryMap}\nserving: {drainTimeout: 1m}")).Child<V1ConfigMap>().Data;
        var inference = Manifests.Convert<InferenceConfig>(Manifests.ParseDocuments(data["inference.yaml"], "c")[0], "c");
        Assert.Equal("austen", inference.ModelName);
        Assert.Equal("4Mi", inference.Experts.FastMemory?.ToString());
        Assert.Equal(SlowTier.MemoryMap, inference.Experts.SlowTier);
        Assert.Equal("1m", inference.Serving.DrainTimeout);
        Assert.Equal("1Gi", Manifests.Convert<KVCacheConfig>(Manifests.ParseDocuments(data["kvcache.yaml"], "c")[0], "c").KVCache.Memory.ToString());
        Assert.Equal(SharingMode.Isolate, Manifests.Convert<KVPrivacyPolicy>(Manifests.ParseDocuments(data["policy.yaml"], "c")[0], "c").Spec.Mode);
    }

    [Fact]
    public void The_drain_time_is_part_of_the_grace_period() =>
        Assert.Equal(135, Plan(Samples.MoE("serving: {drainTimeout: 2m}")).Child<V1Deployment>().Spec.Template.Spec.TerminationGracePeriodSeconds);

    [Fact]
    public void A_changed_configuration_changes_the_pod_template_and_a_changed_policy_does_not()
    {
        const string Reference = "kvCache: {policyRef: {name: strict}}";
        string Template(MoEDeployment resource, KVPrivacyPolicy policy) => Manifests.ToYaml(Plan(resource, With(policy)).Child<V1Deployment>().Spec.Template);
        var before = Template(Samples.MoE(Reference), Samples.Policy("mode: SafeKV"));
        Assert.Equal(before, Template(Samples.MoE(Reference), Samples.Policy("mode: Isolate")));
        Assert.NotEqual(before, Template(Samples.MoE(Reference + "\nserving: {maxBatchTokens: 64}"), Samples.Policy()));
    }

    [Fact]
    public void A_missing_policy_is_named_and_nothing_is_made()
    {
        var plan = Plan(Samples.MoE("kvCache: {policyRef: {name: strict}}"));
        Assert.Empty(plan.Children);
        var condition = Assert.Single(plan.Conditions, condition => condition.Type == ConditionTypes.PolicyResolved);
        Assert.Equal(ConditionStatus.False, condition.Status);
        Assert.Equal("spec.kvCache.policyRef.name: there is no KVPrivacyPolicy 'strict' in namespace 'shop': make it, or remove policyRef to keep everything private", condition.Message);
    }

    [Fact]
    public void An_invalid_policy_is_as_good_as_none()
    {
        var plan = Plan(Samples.MoE("kvCache: {policyRef: {name: strict}}"), With(Samples.Policy("rules: {custom: [{name: a, pattern: '('}]}")));
        Assert.Empty(plan.Children);
        Assert.Contains(plan.Conditions, condition => condition is { Type: ConditionTypes.PolicyResolved, Reason: Reasons.PolicyInvalid });
    }

    [Fact]
    public void A_missing_profile_is_named_and_nothing_is_made()
    {
        var plan = Plan(Samples.MoE("memorySchedulingProfileRef: {name: cxl}"));
        Assert.Empty(plan.Children);
        Assert.Contains(plan.Conditions, condition => condition is { Type: ConditionTypes.ProfileResolved, Reason: Reasons.ProfileNotFound });
    }

    [Fact]
    public void The_profiles_nodes_are_added_and_may_not_be_contradicted()
    {
        var references = new MoEReferences(null, null, Samples.Profile("nodeSelector: {cxl: 'yes'}"));
        var plan = Plan(Samples.MoE("memorySchedulingProfileRef: {name: cxl}\nplacement: {nodeSelector: {zone: a}}"), references);
        Assert.Equal(new Dictionary<string, string> { ["cxl"] = "yes", ["zone"] = "a" }, plan.Child<V1Deployment>().Spec.Template.Spec.NodeSelector);
        var contradicting = Plan(Samples.MoE("memorySchedulingProfileRef: {name: cxl}\nplacement: {nodeSelector: {cxl: 'no'}}"), references);
        Assert.Contains("spec.placement.nodeSelector[cxl]: 'no' contradicts 'yes'", Assert.Single(contradicting.Problems).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("serving: {port: 70000}", "spec.serving.port: 70000 is out of range: use a whole number from 1 to 65535")]
    [InlineData("serving: {drainTimeout: soon}", "spec.serving.drainTimeout: 'soon' is not a duration")]
    [InlineData("serving: {port: 9400}\nkvCache: {enabled: false}", "spec.serving.port: 9400 is the port of the engine's metrics: choose another one, such as 8000")]
    [InlineData("serving: {port: 9401}", "spec.serving.port: 9401 is the port of the cache's metrics")]
    [InlineData("serving: {kvMemory: 0}", "spec.serving.kvMemory: '0' is nothing")]
    [InlineData("experts: {fastMemory: 1500m}", "spec.experts.fastMemory: '1500m' is not a quantity of bytes")]
    [InlineData("experts: {prefetch: {mode: Fixed}}", "spec.experts.prefetch: horizon must be set for mode Fixed and only then")]
    [InlineData("kvCache: {enabled: false, shared: {address: 'valkey:6379'}}", "spec.kvCache: ssd, shared and resources have no effect while enabled is false")]
    [InlineData("kvCache: {enabled: false, policyRef: {name: strict}}", "spec: spec.kvCache.policyRef has no effect")]
    [InlineData("resources: {limits: {memory: 1Gi}}", "spec.resources.limits.memory: 1 GiB is less than the 1.5 GiB of")]
    [InlineData("kvCache: {memory: 2Gi, resources: {limits: {memory: 1Gi}}}", "spec.kvCache.resources.limits.memory: 1 GiB is less than the arena of 2 GiB")]
    [InlineData("kvCache: {shared: {address: 'valkey:99999'}}", "spec.kvCache.shared.address: 'valkey:99999' is not a host and port")]
    [InlineData("kvCache: {ssd: {size: 0}}", "spec.kvCache.ssd.size: '0' is nothing")]
    [InlineData("experts: {fastMemory: 99999999999Ei}", "spec.experts.fastMemory: '99999999999Ei' is more than any machine has: write 1Ei or less")]
    [InlineData("image: 'not an image'", "spec.image: 'not an image' does not match")]
    [InlineData("placement: {nodeSelector: {'a b': c}}", "spec.placement.nodeSelector[a b]: 'a b' is not the key of a label")]
    [InlineData("placement: {nodeSelector: {a: '-'}}", "spec.placement.nodeSelector[a]: '-' is not the value of a label")]
    [InlineData("placement: {tolerations: [{effect: NoSchedule}]}", "spec.placement.tolerations[0].operator: must be Exists where no key is given")]
    [InlineData("placement: {tolerations: [{key: a, operator: Exists, value: b}]}", "spec.placement.tolerations[0].value: 'b' has no meaning with operator Exists")]
    [InlineData("placement: {tolerations: [{operator: Exists}, {key: a, value: b, tolerationSeconds: 5}]}", "spec.placement.tolerations[1].tolerationSeconds: 5 counts for effect NoExecute only")]
    [InlineData("placement: {tolerations: [{key: 'a b', operator: Exists}]}", "spec.placement.tolerations[0][a b]: 'a b' is not the key of a label")]
    [InlineData("placement: {tolerations: [{key: a, value: 'b c'}]}", "spec.placement.tolerations[0][a]: 'b c' is not the value of a label")]
    [InlineData("placement: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}, {maxSkew: 2, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]}", "spec.placement.topologySpreadConstraints[1]: topologyKey 'zone' with whenUnsatisfiable DoNotSchedule is there already")]
    [InlineData("placement: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, minDomains: 2}]}", "spec.placement.topologySpreadConstraints[0].minDomains: 2 must be 1 or more, and counts for whenUnsatisfiable DoNotSchedule only")]
    [InlineData("resources: {requests: {memory: 8Gi}, limits: {memory: 4Gi}}", "spec.resources.requests[memory]: '8Gi' is more than the limit of '4Gi'")]
    [InlineData("resources: {limits: {mem: 4Gi}}", "spec.resources.limits[mem]: is no resource of containers")]
    [InlineData("kvCache: {resources: {requests: {cpu: '2'}, limits: {cpu: 500m}}}", "spec.kvCache.resources.requests[cpu]: '2' is more than the limit of '500m'")]
    [InlineData("networkPolicy: {allowFrom: [{}]}", "spec.networkPolicy.allowFrom[0]: must have either ipBlock, or podSelector, namespaceSelector or both")]
    [InlineData("networkPolicy: {allowMetricsFrom: [{ipBlock: {cidr: 10.0.0.0}}]}", "spec.networkPolicy.allowMetricsFrom[0].ipBlock: '10.0.0.0' is not a network")]
    [InlineData("networkPolicy: {allowFrom: [{podSelector: {matchExpressions: [{key: a, operator: In}]}}]}", "spec.networkPolicy.allowFrom[0].podSelector.matchExpressions[0].values: must be given")]
    [InlineData("imagePullSecrets: [{name: Secret!}]", "spec.imagePullSecrets[0].name: 'Secret!' does not match")]
    public void A_broken_rule_names_field_value_and_remedy(string spec, string message)
    {
        var plan = Plan(Samples.MoE(spec));
        Assert.Empty(plan.Children);
        var problem = Assert.Single(plan.Problems);
        Assert.Equal(Reasons.InvalidSpec, problem.Reason);
        Assert.StartsWith(message, problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{s3: {uri: 's3://b'}, store: {size: 0}}", "spec.model.source.store.size: '0' is nothing")]
    [InlineData("{persistentVolumeClaim: {claimName: Bad_Name}}", "spec.model.source.persistentVolumeClaim.claimName: 'Bad_Name' does not match")]
    [InlineData("{hostPath: {path: /a/../b}}", "spec.model.source.hostPath.path: '/a/../b' must not climb with '..'")]
    public void A_source_that_no_pod_could_read_is_refused(string source, string message)
    {
        var plan = Plan(Samples.Parse<MoEDeployment>($"{{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {{name: austen, namespace: shop}}, spec: {{model: {{source: {source}}}}}}}"));
        Assert.StartsWith(message, Assert.Single(plan.Problems).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("experts: {slowTier: HostMemory}", Reasons.UnsupportedField, "spec.experts.slowTier: HostMemory is for a fast tier on a device")]
    [InlineData("serving: {computeType: Float16}", Reasons.UnsupportedField, "spec.serving.computeType: Float16 is not supported yet: write Float32")]
    [InlineData("kvCache: {ssd: {size: 1Gi, storageClassName: fast}}", Reasons.ServerCapabilityMissing, "spec.kvCache.ssd.storageClassName: a Kubernetes 1.20 server has no generic ephemeral volumes")]
    public void What_would_only_fail_in_its_pod_is_refused_before_there_is_one(string spec, string reason, string message)
    {
        var plan = Plan(Samples.MoE(spec), server: Samples.Old);
        Assert.Empty(plan.Children);
        Assert.Equal(reason, plan.Problems[0].Reason);
        Assert.StartsWith(message, plan.Problems[0].Message, StringComparison.Ordinal);
        // The model's name is known all the same; nothing answers anywhere.
        var status = StatusPlanner.MoEDeployment(Samples.MoE(spec), plan, ModelPreparation.None, Observation.Of(plan, [], null, []), DateTimeOffset.UnixEpoch);
        Assert.Equal(("austen", null), (status.Model, status.Endpoint));
    }

    [Fact]
    public void The_key_of_signed_tenants_reaches_the_engine_alone_and_never_as_text()
    {
        var policy = Samples.Policy("identity: {signature: {secretRef: {name: gateway, key: hmac}}}");
        var policyPlan = KVPrivacyPolicyPlanner.Plan(policy, new Dictionary<string, V1ConfigMap>());
        Assert.Empty(policyPlan.Problems);
        var plan = Plan(Samples.MoE("kvCache: {policyRef: {name: strict}}"), new MoEReferences(policy, policyPlan, null));
        var pod = plan.Child<V1Deployment>().Spec.Template.Spec;
        var key = Assert.Single(pod.Containers.Single(container => container.Name == "inference").Env, variable => variable.Name == "MOEBIUS_TENANT_SIGNATURE_KEY");
        Assert.Equal((null, "gateway", "hmac"), (key.Value, key.ValueFrom.SecretKeyRef.Name, key.ValueFrom.SecretKeyRef.Key));
        Assert.NotEqual(true, key.ValueFrom.SecretKeyRef.Optional);
        Assert.DoesNotContain(pod.InitContainers.SelectMany(container => container.Env), variable => variable.ValueFrom?.SecretKeyRef is not null);
    }

    [Fact]
    public void Further_tiers_of_the_cache_have_their_volume_their_secrets_and_their_way_out()
    {
        var policy = Samples.Policy("encryption: {secretRef: {name: keys, key: master}}");
        var references = With(policy);
        Assert.Empty(references.PolicyPlan!.Problems);
        var plan = Plan(Samples.MoE("kvCache: {policyRef: {name: strict}, ssd: {size: 20Gi}, shared: {address: 'valkey:6379', passwordSecretRef: {name: valkey, key: password}}}"), references);
        Assert.Empty(plan.Problems);
        var pod = plan.Child<V1Deployment>().Spec.Template.Spec;
        var sidecar = pod.InitContainers.Single(container => container.Name == "kvcache");
        Assert.Equal(["--ssd=/var/lib/moebius/kv", "--encryption-key=/etc/moebius/kv-key/key"], sidecar.Args.TakeLast(2));
        Assert.Equal(("valkey", "password"), (sidecar.Env[1].ValueFrom.SecretKeyRef.Name, sidecar.Env[1].ValueFrom.SecretKeyRef.Key));
        Assert.Equal("20Gi", pod.Volumes.Single(volume => volume.Name == "kv-disk").EmptyDir.SizeLimit.ToString());
        Assert.Equal(("keys", "master"), (pod.Volumes.Single(volume => volume.Name == "kv-key").Secret.SecretName, pod.Volumes.Single(volume => volume.Name == "kv-key").Secret.Items[0].Key));
        Assert.DoesNotContain(pod.Containers[0].VolumeMounts, mount => mount.Name is "kv-key" or "kv-disk");
        var config = plan.Child<V1ConfigMap>().Data["kvcache.yaml"];
        Assert.Contains("address: valkey:6379", config, StringComparison.Ordinal);
        Assert.DoesNotContain("passwordSecretRef", config, StringComparison.Ordinal);

        // A key that nothing would be encrypted with is given to nobody.
        pod = Plan(Samples.MoE("kvCache: {policyRef: {name: strict}}"), references).Child<V1Deployment>().Spec.Template.Spec;
        Assert.DoesNotContain(pod.Volumes, volume => volume.Name == "kv-key");
        Assert.DoesNotContain(pod.InitContainers.Single(container => container.Name == "kvcache").Args, argument => argument.StartsWith("--encryption-key", StringComparison.Ordinal));

        var claimed = Plan(Samples.MoE("kvCache: {ssd: {size: 20Gi, storageClassName: fast}}")).Child<V1Deployment>().Spec.Template.Spec;
        Assert.Equal("fast", claimed.Volumes.Single(volume => volume.Name == "kv-disk").Ephemeral.VolumeClaimTemplate.Spec.StorageClassName);
    }

    [Fact]
    public void A_policys_own_classifier_is_mounted_into_the_cache_alone()
    {
        var references = With(Samples.Policy("classifier: {type: Onnx, onnx: {claimName: pii, path: v2}}"));
        Assert.Empty(references.PolicyPlan!.Problems);
        var pod = Plan(Samples.MoE("kvCache: {policyRef: {name: strict}}"), references).Child<V1Deployment>().Spec.Template.Spec;
        var volume = pod.Volumes.Single(volume => volume.Name == "classifier").PersistentVolumeClaim;
        Assert.Equal(("pii", true), (volume.ClaimName, volume.ReadOnlyProperty));
        var sidecar = pod.InitContainers.Single(container => container.Name == "kvcache");
        Assert.Contains("--classifier-root=/var/lib/moebius/classifier", sidecar.Args);
        var mount = sidecar.VolumeMounts.Single(mount => mount.Name == "classifier");
        Assert.Equal(("/var/lib/moebius/classifier", true), (mount.MountPath, mount.ReadOnlyProperty));
        Assert.DoesNotContain(pod.Containers[0].VolumeMounts, mount => mount.Name == "classifier");

        // The cache is off, or the policy of another kind: nothing to mount.
        Assert.DoesNotContain(Plan(Samples.MoE("kvCache: {policyRef: {name: strict}}"), With(Samples.Policy("classifier: {type: BuiltIn}"))).Child<V1Deployment>().Spec.Template.Spec.Volumes, one => one.Name == "classifier");
    }

    [Fact]
    public void A_classifier_in_an_image_is_mounted_or_copied_where_the_server_cannot_mount_images()
    {
        var references = With(Samples.Policy("classifier: {type: Onnx, onnx: {image: {reference: 'registry/pii:2'}, path: model}}"));
        var resource = Samples.MoE("kvCache: {policyRef: {name: strict}}");
        var today = Plan(resource, references).Child<V1Deployment>().Spec.Template.Spec;
        Assert.Equal("registry/pii:2", today.Volumes.Single(volume => volume.Name == "classifier").Image.Reference);
        Assert.DoesNotContain(today.InitContainers, container => container.Name == "copy-classifier");

        var old = Plan(resource, references, Samples.Old).Child<V1Deployment>().Spec.Template.Spec;
        Assert.NotNull(old.Volumes.Single(volume => volume.Name == "classifier").EmptyDir);
        var copy = old.InitContainers.Single(container => container.Name == "copy-classifier");
        Assert.Equal(("registry/pii:2", "/model", "/var/lib/moebius/classifier/model"), (copy.Image, copy.Command[^2], copy.Command[^1]));
        Assert.NotEqual(true, Assert.Single(copy.VolumeMounts).ReadOnlyProperty);
    }

    [Theory]
    [InlineData("http://10.1.2.3:8000/v1", "10.1.2.3/32 8000")]
    [InlineData("https://[fd00::1]/v1", "fd00::1/128 443")]
    [InlineData("http://judge:8000/v1", "shop *")]
    [InlineData("http://judge.models.svc:8000/v1", "models *")]
    [InlineData("http://judge.models.svc.cluster.local/v1", "models *")]
    [InlineData("https://api.example.com/v1", "* 443")]
    public void The_context_check_gets_its_key_and_a_way_out_to_its_endpoint_alone(string url, string way)
    {
        var references = With(Samples.Policy($"{{classifier: {{type: BuiltIn}}, contextCheck: {{endpoint: {{url: '{url}', model: m, apiKeySecretRef: {{name: judge, key: token}}}}}}}}"));
        Assert.Empty(references.PolicyPlan!.Problems);
        var plan = Plan(Samples.MoE("kvCache: {policyRef: {name: strict}}"), references);
        var pod = plan.Child<V1Deployment>().Spec.Template.Spec;
        var key = pod.InitContainers.Single(container => container.Name == "kvcache").Env.Single(variable => variable.Name == "MOEBIUS_CONTEXT_CHECK_KEY").ValueFrom.SecretKeyRef;
        Assert.Equal(("judge", "token"), (key.Name, key.Key));
        Assert.DoesNotContain(pod.Containers[0].Env, variable => variable.Name == "MOEBIUS_CONTEXT_CHECK_KEY");

        Assert.Equal(way, WaysOut(plan));
        Assert.Equal("", WaysOut(Plan(Samples.MoE("kvCache: {enabled: false}"), references)));
    }

    [Theory]
    [InlineData("10.1.2.3:6379", "10.1.2.3/32 6379")]
    [InlineData("[fd00::1]:6380", "fd00::1/128 6380")]
    [InlineData("valkey:6379", "shop *")]
    [InlineData("Valkey.Caches.svc:6379", "caches *")]
    [InlineData("valkey.caches.svc.cluster.local.:6379", "caches *")]
    [InlineData("valkey.caches:6379", "caches *; * 6379")]
    [InlineData("valkey.:6379", "shop *")]
    [InlineData("cache.example.com:6379", "* 6379")]
    public void The_tier_between_pods_is_the_caches_only_way_out(string address, string ways) =>
        Assert.Equal(ways, WaysOut(Plan(Samples.MoE($"kvCache: {{shared: {{address: '{address}'}}}}"))));

    /// <summary>Who may be called beside the name servers, and on which port.</summary>
    private static string WaysOut(Plan plan)
    {
        var rules = plan.Child<V1NetworkPolicy>().Spec.Egress;
        Assert.Equal(["53", "53"], rules[0].Ports.Select(port => port.Port.ToString()));
        return string.Join("; ", rules.Skip(1).Select(rule =>
        {
            var peer = rule.To is null ? null : Assert.Single(rule.To);
            var where = peer?.IpBlock?.Cidr ?? peer?.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] ?? "*";
            return $"{where} {(rule.Ports is null ? "*" : Assert.Single(rule.Ports).Port.ToString())}";
        }));
    }

    [Fact]
    public void Two_sources_are_refused()
    {
        var resource = Samples.MoE();
        resource.Spec.Model.Source.Image = new ImageModel { Reference = "a" };
        Assert.Contains("exactly one of hostPath", Assert.Single(Plan(resource).Problems).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_path_inside_a_claim_is_part_of_the_model_argument_only()
    {
        var resource = Samples.MoE();
        resource.Spec.Model.Source = new ModelSource { PersistentVolumeClaim = new ClaimModel { ClaimName = "models", Path = "a/b/" } };
        var pod = Plan(resource).Child<V1Deployment>().Spec.Template.Spec;
        Assert.Contains("--model=/models/model/a/b", pod.Containers[0].Args);
        Assert.True(pod.Volumes.Single(volume => volume.Name == "model").PersistentVolumeClaim.ReadOnlyProperty);
    }

    [Fact]
    public void Nobody_may_call_when_the_list_of_callers_is_empty()
    {
        var open = Plan(Samples.MoE()).Child<V1NetworkPolicy>().Spec.Ingress;
        Assert.Equal(2, open.Count);
        var closed = Plan(Samples.MoE("networkPolicy: {allowFrom: []}")).Child<V1NetworkPolicy>().Spec.Ingress;
        Assert.NotNull(Assert.Single(Assert.Single(closed).FromProperty).NamespaceSelector);
        Assert.Empty(Plan(Samples.MoE("networkPolicy: {enabled: false}")).Children.OfType<V1NetworkPolicy>());
    }

    [Fact]
    public void The_operator_asks_from_where_its_own_pods_are_not_from_where_its_lease_is()
    {
        var settings = new OperatorSettings(OperatorSettings.DefaultImage, "moebius-node-agents") { PodNamespace = "moebius-system" };
        var plan = MoEDeploymentPlanner.Plan(Samples.MoE(), MoEReferences.None, settings, ServerCapabilities.Latest);
        var metrics = plan.Child<V1NetworkPolicy>().Spec.Ingress[^1];
        Assert.Equal("moebius-system", Assert.Single(metrics.FromProperty).NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]);
        Assert.Equal(["9400", "9401"], metrics.Ports.Select(port => port.Port.ToString()));
        Assert.Equal("8000", Assert.Single(plan.Child<V1NetworkPolicy>().Spec.Ingress[0].Ports).Port.ToString());
    }
}
