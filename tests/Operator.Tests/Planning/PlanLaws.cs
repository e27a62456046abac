using System.Collections.Concurrent;
using FsCheck;
using FsCheck.Fluent;
using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Tests.Planning;

/// <summary>What holds for every manifest.</summary>
public sealed class PlanLaws
{
    private static readonly ConcurrentDictionary<string, IKubernetesObject<V1ObjectMeta>> Read = new();

    [Property(MaxTest = 100)]
    public Property Planning_is_deterministic_owned_and_strictly_readable() => Prop.ForAll(Generate.Manifest, manifest =>
    {
        var first = Plan(manifest);
        var second = Plan(manifest);
        var written = first.SelectMany(one => one.Plan.Children).Select(child => (Child: child, Yaml: Manifests.ToYaml(child))).ToList();
        Assert.Equal(written.Select(one => one.Yaml), second.SelectMany(one => one.Plan.Children).Select(Manifests.ToYaml));
        foreach (var (child, yaml) in written)
        {
            // Most objects of most manifests are equal: each is read once.
            if (Read.TryAdd(yaml, child))
                AssertStrict(child, yaml);
        }

        foreach (var (resource, plan) in first)
        {
            foreach (var child in plan.Children)
            {
                var owner = Assert.Single(child.Metadata.OwnerReferences);
                Assert.Equal((resource.Kind, resource.Metadata.Name, resource.Metadata.Uid, true), (owner.Kind, owner.Name, owner.Uid, owner.Controller));
                Assert.Equal(Labels.Manager, child.Metadata.Labels[Labels.ManagedBy]);
            }
        }

        var names = first.SelectMany(one => one.Plan.Children).Select(child => (child.Kind, child.Metadata.NamespaceProperty, child.Metadata.Name)).ToList();
        Assert.Equal(names.Count, names.Distinct().Count());
    });

    [Property(MaxTest = 200)]
    public Property A_problem_that_blocks_leaves_no_children_and_no_plan_is_silent() => Prop.ForAll(Generate.BrokenManifest, manifest =>
    {
        foreach (var (_, plan) in Plan(manifest))
        {
            Assert.Equal(plan.IsBlocked, plan.Children.Count == 0);
            Assert.All(plan.Problems, problem => Assert.DoesNotContain('\n', problem.Message));
        }
    });

    private static IReadOnlyList<PlannedResource> Plan(string manifest)
    {
        var resources = Manifests.ParseDocuments(manifest, "m").Select(document => (object)(document["kind"]!.GetValue<string>() switch
        {
            MoEDeployment.KindName => Manifests.Convert<MoEDeployment>(document, "m"),
            KVPrivacyPolicy.KindName => Manifests.Convert<KVPrivacyPolicy>(document, "m"),
            MemorySchedulingProfile.KindName => Manifests.Convert<MemorySchedulingProfile>(document, "m"),
            _ => Manifests.Convert<PromptOptimizer>(document, "m"),
        })).ToList();
        return ManifestPlanner.Plan(resources, OperatorSettings.Default, ServerCapabilities.Latest);
    }

    private static void AssertStrict(IKubernetesObject<V1ObjectMeta> child, string yaml)
    {
        IKubernetesObject<V1ObjectMeta> read = child switch
        {
            V1Deployment => KubernetesYaml.Deserialize<V1Deployment>(yaml, strict: true),
            V1DaemonSet => KubernetesYaml.Deserialize<V1DaemonSet>(yaml, strict: true),
            V1Service => KubernetesYaml.Deserialize<V1Service>(yaml, strict: true),
            V1ServiceAccount => KubernetesYaml.Deserialize<V1ServiceAccount>(yaml, strict: true),
            V1ConfigMap => KubernetesYaml.Deserialize<V1ConfigMap>(yaml, strict: true),
            V1PodDisruptionBudget => KubernetesYaml.Deserialize<V1PodDisruptionBudget>(yaml, strict: true),
            V1NetworkPolicy => KubernetesYaml.Deserialize<V1NetworkPolicy>(yaml, strict: true),
            V1Job => KubernetesYaml.Deserialize<V1Job>(yaml, strict: true),
            V2HorizontalPodAutoscaler => KubernetesYaml.Deserialize<V2HorizontalPodAutoscaler>(yaml, strict: true),
            V1PersistentVolumeClaim => KubernetesYaml.Deserialize<V1PersistentVolumeClaim>(yaml, strict: true),
            _ => throw new InvalidOperationException(child.Kind),
        };
        Assert.Equal(yaml, Manifests.ToYaml(read));
    }

    private static class Generate
    {
        private static readonly string[] Fields =
        [
            "kvCache: {policyRef: {name: p}}", "kvCache: {enabled: false}", "kvCache: {memory: 64Mi, blockTokens: 8}", "replicas: 3", "experts: {fastMemory: 12Mi}",
            "serving: {port: 8081, drainTimeout: 90s}", "memorySchedulingProfileRef: {name: m}", "placement: {nodeSelector: {a: b}, tolerations: [{key: x, operator: Exists}]}",
            "placement: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]}", "networkPolicy: {enabled: false}", "image: 'x:1'",
            "imagePullSecrets: [{name: s}]", "disruption: {maxUnavailable: 2}", "rollout: {maxSurge: 25%, maxUnavailable: 1}", "resources: {requests: {cpu: 500m}, limits: {memory: 8Gi}}", "model: {source: {persistentVolumeClaim: {claimName: c, path: x}}}",
            "autoscaling: {maxReplicas: 4}", "podTemplate: {metadata: {labels: {team: a}}, spec: {hostNetwork: true, containers: [{name: inference, env: [{name: A, value: b}]}, {name: mine, image: x}]}}",
        ];

        private static readonly string[] Broken =
        [
            "replicas: -1", "replicas: 100000", "experts: {fastMemory: -1}", "serving: {port: 0}", "serving: {drainTimeout: ''}", "kvCache: {blockTokens: 0}", "model: {name: ' ', source: {hostPath: {path: /m}}}",
            "model: null", "serving: null", "kvCache: null", "experts: {prefetch: null}", "model: {source: {}}", "model: {source: {hostPath: {path: relative}}}", "imagePullSecrets: [null]",
            "placement: {nodeSelector: null}", "networkPolicy: null", "rollout: null", "rollout: {maxSurge: 0}", "autoscaling: {minReplicas: 5, maxReplicas: 2}", "podTemplate: {spec: {containers: 7}}", "kvCache: {policyRef: {name: none}}",
            "model: {source: {s3: {uri: 's3://x'}}}", "memorySchedulingProfileRef: {name: none}", "kvCache: {memory: 9999999Ti}", "resources: {limits: {memory: 1}}",
        ];

        public static Arbitrary<string> Manifest => Some(Fields).ToArbitrary();

        public static Arbitrary<string> BrokenManifest => Some([.. Fields, .. Broken]).ToArbitrary();

        private static Gen<string> Some(string[] fields) =>
            from chosen in Gen.SubListOf(fields)
            let byKey = chosen.DistinctBy(field => field.Split(':')[0]).ToList()
            let lines = byKey.Any(field => field.StartsWith("model:", StringComparison.Ordinal)) ? byKey : [.. byKey, "model: {source: {hostPath: {path: /m}}}"]
            select $$$"""
                kind: MoEDeployment
                metadata: {name: d}
                spec: { {{{string.Join(", ", lines)}}} }
                ---
                kind: KVPrivacyPolicy
                metadata: {name: p}
                spec: {mode: SafeKV}
                ---
                kind: MemorySchedulingProfile
                metadata: {name: m}
                spec: {nodeSelector: {cxl: 'yes'}}
                ---
                kind: PromptOptimizer
                metadata: {name: d}
                spec: {languageModel: {moeDeploymentRef: {name: d} } }
                """;
    }
}
