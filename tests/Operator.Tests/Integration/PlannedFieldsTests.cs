using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Planning.PromptOptimizers;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Integration;

/// <summary>What is planned is what the API server answers: a field that it leaves out or writes otherwise would be drift at every look.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class PlannedFieldsTests(OperatorCluster cluster)
{
    private static readonly string[] Deployments =
    [
        "",
        "replicas: 0",
        "kvCache: {enabled: false}",
        "kvCache: {ssd: {size: 1Gi}, shared: {address: 'valkey:6379', passwordSecretRef: {name: a, key: b}}}",
        "resources: {requests: {cpu: 500m, memory: 4000Mi}, limits: {memory: 5000Mi, nvidia.com/gpu: 1}}",
        "rollout: {maxSurge: 0, maxUnavailable: 1}",
        "rollout: {maxSurge: 25%, maxUnavailable: 0}",
        "disruption: {maxUnavailable: 0}",
        "networkPolicy: {allowFrom: [], allowMetricsFrom: [{namespaceSelector: {}}]}",
        "networkPolicy: {allowFrom: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {podSelector: {matchExpressions: [{key: a, operator: Exists}]}}]}",
        "networkPolicy: {enabled: false}",
        "placement: {nodeSelector: {zone: ''}, priorityClassName: high, tolerations: [{operator: Exists}, {key: a, operator: Equal, value: b, effect: NoExecute, tolerationSeconds: 0}], topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]}",
        "imagePullSecrets: [{name: x}]\nimage: 'other:1'\nimagePullPolicy: Always",
        "autoscaling: {minReplicas: 2, maxReplicas: 5}",
        "experts: {slowTier: DirectIO, quantization: Int8}\nserving: {port: 9000, drainTimeout: 0s}",
        "podTemplate: {metadata: {annotations: {a: ''}}, spec: {containers: [{name: more, image: x}], hostAliases: [{ip: 10.0.0.1, hostnames: [a]}]}}",
    ];

    private static readonly string[] Policies =
    [
        "mode: SafeKV",
        "identity: {signature: {secretRef: {name: a, key: b}}}",
        "encryption: {secretRef: {name: a, key: b}}",
        "classifier: {type: Onnx, onnx: {claimName: judge, path: m}}",
        "classifier: {type: Onnx, onnx: {image: {reference: 'judge:1'}, path: m}}",
        "classifier: {type: BuiltIn}\ncontextCheck: {endpoint: {url: 'https://judge.example/v1', model: m, apiKeySecretRef: {name: a, key: b}}}",
    ];

    private static readonly string[] Sources =
    [
        "s3: {uri: 's3://models/austen', credentialsSecretRef: {name: aws}}",
        "huggingFace: {repository: a/b, tokenSecretRef: {name: a, key: b}}",
        "http: {url: 'https://models.example/a.tar', sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}",
        "s3: {uri: 's3://models/austen', endpoint: 'https://minio.storage.svc:9000'}",
    ];

    [Fact]
    public async Task Every_planned_field_comes_back_as_it_was_planned()
    {
        var shop = await cluster.NamespaceAsync("plannedfields");
        using var view = new ClusterView(cluster);
        var server = await Discovery.AskAsync(view.Api, TestContext.Current.CancellationToken);
        List<(string From, Plan Plan)> plans = [];
        foreach (var settings in new[] { OperatorSettings.Default, OperatorSettings.Default with { LogFormat = LogFormat.Json } })
        {
            plans.AddRange(Deployments.Select(spec => (spec, Plan(Samples.MoE(spec), MoEReferences.None))));
            plans.AddRange(Policies.Select(spec => Samples.Policy(spec)).Select(policy => ($"policy {policy.Spec.Mode}", Plan(
                Samples.MoE("kvCache: {policyRef: {name: strict}, ssd: {size: 1Gi}}"),
                MoEReferences.None with { Policy = policy, PolicyPlan = KVPrivacyPolicyPlanner.Plan(policy, new Dictionary<string, V1ConfigMap>()) }))));
            plans.AddRange(Policies.Select(spec => (spec, KVPrivacyPolicyPlanner.Plan(Samples.Policy(spec), new Dictionary<string, V1ConfigMap>()))));
            foreach (var state in new[] { FetchState.Running, FetchState.Done })
                plans.AddRange(Sources.Select(source => (source, Plan(Samples.Remote(source: source), MoEReferences.None with { Preparation = new ModelPreparation(state, null, null) }))));
            plans.Add(("download", Plan(
                Samples.Parse<MoEDeployment>("{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {name: austen, namespace: shop}, spec: {model: {source: {http: {url: 'https://a.example/b', sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}, store: {size: 1024Mi, accessMode: ReadWriteMany, storageClassName: slow, download: {proxy: {url: 'http://proxy:3128', noProxy: [a]}, caConfigMapRef: {name: ca, key: ca.crt}, resources: {limits: {cpu: 1000m}}}}}}}}"),
                MoEReferences.None)));
            plans.AddRange(new[] { "{image: {reference: 'model:1'}}", "{persistentVolumeClaim: {claimName: c, path: p}}" }.Select(source => (source, Plan(
                Samples.Parse<MoEDeployment>($"{{apiVersion: moebius.dev/v1alpha1, kind: MoEDeployment, metadata: {{name: austen, namespace: shop}}, spec: {{model: {{source: {source}}}}}}}"), MoEReferences.None))));
            plans.AddRange(new[] { "policy: {strategy: Observe}", "{nodeSelector: {a: b}, agent: {privilege: Privileged, tolerations: [{operator: Exists}], priorityClassName: high, resources: {limits: {cpu: 1000m}}}}" }.Select(spec =>
                (spec, MemorySchedulingProfilePlanner.Plan(Samples.Profile(spec), [Samples.Profile("nodeSelector: {c: d}", "older", DateTime.UnixEpoch)], settings, server))));
            plans.AddRange(new[]
            {
                "languageModel: {moeDeploymentRef: {name: austen}}",
                "{languageModel: {endpoint: {url: 'https://a.example/v1', model: m, apiKeySecretRef: {name: a, key: b}}}, store: {size: 1024Mi, storageClassName: slow}, placement: {nodeSelector: {a: b}, tolerations: [{operator: Exists}]}, resources: {limits: {memory: 1024Mi}}}",
            }.Select(spec => (spec, PromptOptimizerPlanner.Plan(Samples.Optimizer(spec), Samples.MoE(), settings, server))));

            Plan Plan(MoEDeployment resource, MoEReferences references) => MoEDeploymentPlanner.Plan(resource, references, settings, server);
        }

        Assert.Empty(plans.Where(plan => plan.Plan.IsBlocked).Select(plan => $"{plan.From}: {string.Join("; ", plan.Plan.Problems.Select(problem => problem.Message))}"));
        var children = plans.SelectMany(plan => plan.Plan.Children.Select(child => (plan.From, Body: InNamespace(child, shop)))).ToList();
        var list = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "List", ["items"] = new JsonArray([.. children.Select(child => child.Body.DeepClone())]) };
        var created = await cluster.KubectlAsync(["create", "--dry-run=server", "--validate=false", "-o", "json", "-f", "-"], list.ToJsonString());
        created.EnsureSuccess();
        var answers = Objects(created.StandardOutput);
        Assert.Equal(children.Count, answers.Count);
        Assert.Empty(from pair in children.Zip(answers)
                     let path = Drift.Find(pair.First.Body, pair.Second)
                     where path is not null
                     select $"{pair.First.From}: {(string?)pair.First.Body["kind"]} {path}");
    }

    // kubectl prints one after the other.
    private static List<JsonObject> Objects(string text)
    {
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(text), new JsonReaderOptions { AllowMultipleValues = true });
        var objects = new List<JsonObject>();
        while (reader.Read())
            objects.Add((JsonObject)JsonNode.Parse(ref reader)!);
        return objects;
    }

    private static JsonObject InNamespace(IKubernetesObject<V1ObjectMeta> child, string @namespace)
    {
        var body = new ChildBody(child).ToNode();
        body["metadata"]!["namespace"] = @namespace;
        return body;
    }
}
