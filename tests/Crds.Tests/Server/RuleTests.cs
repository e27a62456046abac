using System.Text.RegularExpressions;
using k8s.Models;

namespace Moebius.Crds.Tests.Server;

/// <summary>Every CEL rule, broken once, on a real API server.</summary>
[Trait("Category", "Cluster")]
[Collection(CrdServerTests.Name)]
public sealed partial class RuleTests(CrdServer server)
{
    private const string Immutable = "the spec of a PromptOptimizationJob cannot be changed: make a new job";

    private const string NoRollout = "maxSurge and maxUnavailable must not both be 0: no pod could be replaced";

    private const string TakenHeader = "must be a header of its own: HTTP or a client's credentials use this one";

    /// <summary>Kind, what breaks the rule, where the server reports it, the rule's message.</summary>
    public static TheoryData<string, string, string, string> Broken { get; } = new()
    {
        { "MoEDeployment", "{replicas: 9, autoscaling: {maxReplicas: 4}}", "spec", "spec.replicas must lie between autoscaling.minReplicas and autoscaling.maxReplicas, or be left out when autoscaling is set" },
        { "MoEDeployment", "{kvCache: {enabled: false, ssd: {size: 1Gi}}}", "spec.kvCache", "ssd, shared and resources have no effect while enabled is false: remove them, or enable the cache" },
        { "MoEDeployment", "{kvCache: {enabled: false, policyRef: {name: p}}}", "spec", "spec.kvCache.policyRef has no effect while spec.kvCache.enabled is false: remove it or enable the cache" },
        { "MoEDeployment", "{model: {source: {hostPath: null}}}", "spec.model.source", "exactly one of hostPath, persistentVolumeClaim, image, s3, http, huggingFace must be set" },
        { "MoEDeployment", "{model: {source: {huggingFace: {repository: a/b}, store: {size: 1Gi}}}}", "spec.model.source", "exactly one of hostPath, persistentVolumeClaim, image, s3, http, huggingFace must be set" },
        { "MoEDeployment", "{model: {source: {hostPath: null, persistentVolumeClaim: {claimName: c, path: ../x}}}}", "spec.model.source.persistentVolumeClaim.path", "path must be relative and stay inside the volume" },
        { "MoEDeployment", "{model: {source: {hostPath: null, image: {reference: i, path: /x}}}}", "spec.model.source.image.path", "path must be relative and stay inside the image" },
        { "MoEDeployment", "{model: {source: {store: {size: 1Gi}}}}", "spec.model.source", "store must be set for s3, http and huggingFace and only then: it is where the download is kept" },
        { "MoEDeployment", "{model: {source: {hostPath: null, s3: {uri: 's3://b/p'}}}}", "spec.model.source", "store must be set for s3, http and huggingFace and only then: it is where the download is kept" },
        { "MoEDeployment", "{autoscaling: {maxReplicas: 4, autoscaler: Keda}}", "spec.autoscaling", "prometheusAddress must be set for autoscaler Keda and only then" },
        { "MoEDeployment", "{integrations: {inferencePool: Required}}", "spec.integrations", "endpointPickerRef must be set for inferencePool Required" },
        { "MoEDeployment", "{integrations: {inferencePool: Disabled, endpointPickerRef: {name: epp}}}", "spec.integrations", "endpointPickerRef has no effect with inferencePool Disabled: remove it, or write Auto" },
        { "MoEDeployment", "{serving: {maxBatchTokens: 16, maxConcurrentSequences: 17}}", "spec.serving", "maxBatchTokens must be at least maxConcurrentSequences: every running sequence takes a token of a step" },
        { "MoEDeployment", "{experts: {prefetch: {mode: Fixed}}}", "spec.experts.prefetch", "horizon must be set for mode Fixed and only then" },
        { "MoEDeployment", "{experts: {prefetch: {horizon: 2}}}", "spec.experts.prefetch", "horizon must be set for mode Fixed and only then" },
        { "MoEDeployment", "{autoscaling: {minReplicas: 5, maxReplicas: 4}}", "spec.autoscaling", "minReplicas must not exceed maxReplicas" },
        { "KVPrivacyPolicy", "{publicPrefixes: [{name: a}]}", "spec.publicPrefixes[0]", "exactly one of text and configMapRef must be set" },
        { "KVPrivacyPolicy", "{publicPrefixes: [{name: a, text: x, configMapRef: {name: c, key: k}}]}", "spec.publicPrefixes[0]", "exactly one of text and configMapRef must be set" },
        { "KVPrivacyPolicy", "{classifier: {publicBelowPercent: 71}}", "spec.classifier", "publicBelowPercent must not exceed privateAbovePercent" },
        { "KVPrivacyPolicy", "{classifier: {type: Onnx}}", "spec.classifier", "onnx must be set for type Onnx and only then" },
        { "KVPrivacyPolicy", "{classifier: {type: Onnx, onnx: {}}}", "spec.classifier.onnx", "exactly one of claimName and image must be set" },
        { "KVPrivacyPolicy", "{classifier: {type: Onnx, onnx: {claimName: c, image: {reference: i}}}}", "spec.classifier.onnx", "exactly one of claimName and image must be set" },
        { "KVPrivacyPolicy", "{classifier: {type: Onnx, onnx: {claimName: c, path: ../x}}}", "spec.classifier.onnx.path", "path must be relative and stay inside the volume" },
        { "KVPrivacyPolicy", "{contextCheck: {endpoint: {url: 'http://a/v1', model: m}}}", "spec", "contextCheck judges what the classifier leaves open: set classifier.type to BuiltIn or Onnx" },
        { "KVPrivacyPolicy", "{classifier: {onnx: {claimName: c}}}", "spec.classifier", "onnx must be set for type Onnx and only then" },
        { "MoEDeployment", "{model: {source: {hostPath: {path: /a/../b}}}}", "spec.model.source.hostPath.path", "must not climb with '..'" },
        { "MoEDeployment", "{networkPolicy: {enabled: false, allowFrom: [{podSelector: {}}]}}", "spec.networkPolicy", "allowFrom and allowMetricsFrom have no effect while enabled is false: remove them, or enable the policy" },
        { "MoEDeployment", "{rollout: {maxSurge: 0}}", "spec.rollout", NoRollout },
        { "MoEDeployment", "{rollout: {maxSurge: 0%, maxUnavailable: 0%}}", "spec.rollout", NoRollout },
        { "MoEDeployment", "{kvCache: {shared: {address: 'a:1', timeout: 5ms}}}", "spec.kvCache.shared.timeout", "must be 10ms to 24h" },
        { "MoEDeployment", "{serving: {drainTimeout: 1200h}}", "spec.serving.drainTimeout", "must be 24h or shorter" },
        { "MoEDeployment", "{serving: {reasoningParser: Harmony, toolCallParser: Hermes}}", "spec.serving", "reasoningParser Harmony goes with toolCallParser Auto, None or Harmony only" },
        { "MoEDeployment", "{serving: {reasoningParser: Granite, toolCallParser: Harmony}}", "spec.serving", "toolCallParser Harmony goes with reasoningParser Auto, None or Harmony only" },
        { "MoEDeployment", "{serving: {reasoningParser: Think, toolCallParser: Harmony}}", "spec.serving", "toolCallParser Harmony goes with reasoningParser Auto, None or Harmony only" },
        { "KVPrivacyPolicy", "{promotion: {maxDelay: 24h1ms}}", "spec.promotion.maxDelay", "must be 24h or shorter" },
        { "MemorySchedulingProfile", "{telemetry: {interval: 1441m}}", "spec.telemetry.interval", "must be 24h or shorter" },
        { "KVPrivacyPolicy", "{identity: {tenantHeader: X-Sig, signature: {header: x-sig, secretRef: {name: s, key: k}}}}", "spec.identity", "signature.header must be another one than tenantHeader" },
        { "KVPrivacyPolicy", "{identity: {tenantHeader: Authorization}}", "spec.identity.tenantHeader", TakenHeader },
        { "KVPrivacyPolicy", "{identity: {signature: {header: content-LENGTH, secretRef: {name: s, key: k}}}}", "spec.identity.signature.header", TakenHeader },
        { "KVPrivacyPolicy", "{identity: {signature: {maxAge: 0s, secretRef: {name: s, key: k}}}}", "spec.identity.signature.maxAge", "must be longer than 0s" },
        { "KVPrivacyPolicy", "{monitor: {window: 0h0s}}", "spec.monitor.window", "must be longer than 0s" },
        { "KVPrivacyPolicy", "{retention: {privateIdle: 0m}}", "spec.retention.privateIdle", "must be longer than 0s" },
        { "MemorySchedulingProfile", "{policy: {agingLimit: 0ms}}", "spec.policy.agingLimit", "must be longer than 0s" },
        { "MemorySchedulingProfile", "{policy: {agingLimit: 101ms}}", "spec.policy.agingLimit", "must be 100ms or shorter: the kernel takes out a scheduler that lets a task wait for 600ms" },
        { "MemorySchedulingProfile", "{telemetry: {interval: 99ms}}", "spec.telemetry.interval", "must be 100ms or longer" },
        { "PromptOptimizer", "{defaultBudget: {deadline: 0s}}", "spec.defaultBudget.deadline", "must be longer than 0s" },
        { "PromptOptimizer", "{languageModel: {moeDeploymentRef: null, endpoint: {url: http://a, model: m, timeout: 25h}}}", "spec.languageModel.endpoint.timeout", "must be 10ms to 24h" },
        { "PromptOptimizer", "{languageModel: {moeDeploymentRef: null, timeout: 5s, endpoint: {url: http://a, model: m}}}", "spec.languageModel", "timeout is for moeDeploymentRef: write endpoint.timeout" },
        { "PromptOptimizer", "{languageModel: {timeout: 25h}}", "spec.languageModel.timeout", "must be 10ms to 24h" },
        { "PromptOptimizer", "{languageModel: {moeDeploymentRef: null}}", "spec.languageModel", "exactly one of moeDeploymentRef and endpoint must be set" },
        { "PromptOptimizer", "{languageModel: {endpoint: {url: http://a, model: m}}}", "spec.languageModel", "exactly one of moeDeploymentRef and endpoint must be set" },
        { "PromptOptimizer", "{scorer: {type: VisionLanguageModel}}", "spec.scorer", "endpoint must be set for type VisionLanguageModel and only then" },
        { "PromptOptimizer", "{scorer: {clip: {claimName: c}}}", "spec.scorer", "clip must be set for type Clip and only then" },
        { "PromptOptimizer", "{store: {type: PostgreSQL}}", "spec.store", "connectionSecretRef must be set for type PostgreSQL and only then" },
        { "PromptOptimizer", "{store: {address: 'db:5432'}}", "spec.store", "caSecretRef and address have no effect for type Sqlite: remove them" },
        { "PromptOptimizer", "{store: {caSecretRef: {name: s, key: k}}}", "spec.store", "caSecretRef and address have no effect for type Sqlite: remove them" },
        { "PromptOptimizer", "{store: {type: PostgreSQL, storageClassName: fast, connectionSecretRef: {name: s, key: k}}}", "spec.store", "storageClassName has no effect for type PostgreSQL: remove it" },
        { "PromptOptimizer", "{replicas: 2}", "spec", "replicas must be 1 with store.type Sqlite, whose file one process owns: write PostgreSQL for more" },
        { "PromptOptimizer", "{networkPolicy: {enabled: false}, store: {type: PostgreSQL, address: 'db:5432', connectionSecretRef: {name: s, key: k}}}", "spec", "store.address is for the NetworkPolicy and has no effect while networkPolicy.enabled is false: remove it" },
        { "PromptOptimizer", "{jobs: {retention: 59s}}", "spec.jobs.retention", "must be 1m or longer: who asked for a result has to find it" },
        { "KVPrivacyPolicy", "{classifier: {type: BuiltIn}, contextCheck: {endpoint: {url: 'http://a/v1', model: m, timeout: 9ms}}}", "spec.contextCheck.endpoint.timeout", "must be 10ms to 24h" },
        { "KVPrivacyPolicy", "{retention: {publicIdle: 0s}}", "spec.retention.publicIdle", "must be longer than 0s" },
        { "PromptOptimizer", "{scorer: {type: VisionLanguageModel, endpoint: {url: 'http://a/v1', model: m, timeout: 1441m}}}", "spec.scorer.endpoint.timeout", "must be 10ms to 24h" },
        { "PromptOptimizer", "{scorer: {type: Clip, clip: {}}}", "spec.scorer.clip", "exactly one of claimName and image must be set" },
        { "PromptOptimizer", "{scorer: {type: Clip, clip: {claimName: c, path: /x}}}", "spec.scorer.clip.path", "path must be relative and stay inside the volume" },
        { "PromptOptimizer", "{imageModel: {api: OpenAI, endpoint: {url: 'http://a/v1', model: m, timeout: 1ms}}}", "spec.imageModel.endpoint.timeout", "must be 10ms to 24h" },
        { "PromptOptimizer", "{imageModel: {api: Automatic1111, endpoint: {url: 'http://a/v1/', model: m}}}", "spec.imageModel", "endpoint.url for Automatic1111 and ComfyUI is that of the server itself, such as http://host:7860, without /v1" },
        { "PromptOptimizer", "{imageModel: {api: ComfyUI, size: 512x516, endpoint: {url: 'http://a', model: m}}}", "spec.imageModel", "size for Automatic1111 and ComfyUI must be in multiples of 8 pixels" },
        { "PromptOptimizer", "{networkPolicy: {enabled: false, allowMetricsFrom: [{podSelector: {}}]}}", "spec.networkPolicy", "allowFrom and allowMetricsFrom have no effect while enabled is false: remove them, or enable the policy" },
        { "PromptOptimizationJob", "{budget: {deadline: 0m}}", "spec.budget.deadline", "must be longer than 0s" },
        { "PromptOptimizationJob", "{prompts: [b]}", "spec", "exactly one of prompt and prompts must be set" },
    };

    /// <summary>Neighbours of the broken ones that are right.</summary>
    public static TheoryData<string, string> Kept { get; } = new()
    {
        { "MoEDeployment", "{replicas: 4, autoscaling: {maxReplicas: 4}}" },
        { "MoEDeployment", "{serving: {reasoningParser: Harmony, toolCallParser: None}}" },
        { "MoEDeployment", "{serving: {reasoningParser: Think, toolCallParser: Hermes}}" },
        { "MoEDeployment", "{serving: {reasoningParser: Granite, toolCallParser: Granite}}" },
        { "MoEDeployment", "{serving: {maxBatchTokens: 17, maxConcurrentSequences: 17}}" },
        { "MoEDeployment", "{kvCache: {enabled: false}}" },
        { "MoEDeployment", "{kvCache: {policyRef: {name: p}}}" },
        { "MoEDeployment", "{model: {source: {hostPath: null, persistentVolumeClaim: {claimName: c, path: a/b}}}}" },
        { "MoEDeployment", "{experts: {prefetch: {mode: Fixed, horizon: 2}}}" },
        { "MoEDeployment", "{model: {source: {hostPath: null, s3: {uri: 's3://b/p'}, store: {size: 1Gi}}}}" },
        { "MoEDeployment", "{autoscaling: {maxReplicas: 4, autoscaler: Keda, prometheusAddress: 'http://p:9090'}}" },
        { "MoEDeployment", "{integrations: {inferencePool: Required, endpointPickerRef: {name: epp}}}" },
        { "KVPrivacyPolicy", "{classifier: {type: Onnx, onnx: {claimName: c}}}" },
        { "KVPrivacyPolicy", "{classifier: {type: Onnx, onnx: {image: {reference: i}, path: a/b}}, contextCheck: {endpoint: {url: 'http://a/v1', model: m}}}" },
        { "KVPrivacyPolicy", "{classifier: {type: BuiltIn}, contextCheck: {endpoint: {url: 'http://a/v1', model: m}}}" },
        { "KVPrivacyPolicy", "{publicPrefixes: [{name: a, configMapRef: {name: c, key: k}}]}" },
        { "KVPrivacyPolicy", "{mode: Isolate, publicPrefixes: [{name: a, text: x}]}" },
        { "KVPrivacyPolicy", "{identity: {tenantHeader: Host}}" },
        { "MoEDeployment", "{integrations: {endpointPickerRef: {name: epp}}}" },
        { "MoEDeployment", "{model: {source: {hostPath: {path: /a..b/.c}}}}" },
        { "MoEDeployment", "{networkPolicy: {allowFrom: [{podSelector: {}}]}}" },
        { "MoEDeployment", "{rollout: {maxSurge: 0%, maxUnavailable: 1}}" },
        { "MoEDeployment", "{rollout: {maxSurge: 0, maxUnavailable: 100%}}" },
        { "MoEDeployment", "{rollout: {maxSurge: 1%}}" },
        { "KVPrivacyPolicy", "{identity: {signature: {secretRef: {name: s, key: k}}}, monitor: {window: 1m0s}}" },
        { "MemorySchedulingProfile", "{telemetry: {interval: 100ms}}" },
        { "PromptOptimizer", "{languageModel: {moeDeploymentRef: null, endpoint: {url: http://a, model: m}}}" },
        { "PromptOptimizer", "{scorer: {type: Clip, clip: {claimName: c}}}" },
        { "PromptOptimizer", "{store: {type: PostgreSQL, connectionSecretRef: {name: s, key: k}}}" },
        { "PromptOptimizer", "{replicas: 3, store: {type: PostgreSQL, connectionSecretRef: {name: s, key: k}, caSecretRef: {name: s, key: ca.crt}, address: 'db:5432'}}" },
        { "PromptOptimizer", "{jobs: {retention: 60s, maxWaiting: 1}, store: {storageClassName: fast}}" },
        { "PromptOptimizer", "{imageModel: {api: Automatic1111, size: 512x768, dialect: Flux, endpoint: {url: 'http://a/v1x', model: m}}}" },
        { "PromptOptimizer", "{imageModel: {api: OpenAI, size: 511x511, endpoint: {url: 'http://a/v1', model: m}}}" },
        { "PromptOptimizationJob", "{prompt: null, prompts: [b]}" },
        { "PromptOptimizer", "{languageModel: {timeout: 24h}}" },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public async Task A_broken_rule_is_reported_at_its_field_with_its_message(string kind, string spec, string field, string message)
    {
        AssertInvalid($"{kind}.moebius.dev \"broken\" is invalid: {field}: Invalid value: ", message, await server.RefusalAsync(CrdServer.Minimal(kind, "broken", spec)) ?? "");
    }

    [Theory]
    [MemberData(nameof(Kept))]
    public async Task A_kept_rule_says_nothing(string kind, string spec) =>
        Assert.Null(await server.RefusalAsync(CrdServer.Minimal(kind, "kept", spec), dryRun: true));

    [Fact]
    public async Task A_job_cannot_be_changed()
    {
        Assert.Null(await server.RefusalAsync(CrdServer.Minimal("PromptOptimizationJob", "fixed")));
        (await server.KubectlAsync("label", "pojob", "fixed", "a=b")).EnsureSuccess();
        var refused = await server.KubectlAsync("patch", "pojob", "fixed", "--type=merge", "-p", """{"spec":{"prompt":"another"}}""");
        AssertInvalid("The PromptOptimizationJob \"fixed\" is invalid: spec: Invalid value: ", Immutable, refused.StandardError);
    }

    [Fact]
    public void Every_rule_of_every_field_is_broken_here()
    {
        var rules = ResourceKinds.All.SelectMany(kind => Rules(Schemas.Of(kind)).Select(rule => (kind.Kind, rule.Path, rule.Message)));
        var broken = Broken.Select(row => (row.Data.Item1, Path: Index().Replace(row.Data.Item3, "[]"), row.Data.Item4)).Append(("PromptOptimizationJob", "spec", Immutable));
        Assert.Equal(rules.ToHashSet().Order(), broken.ToHashSet().Order());
    }

    // Between field and message some versions show the value, others its type or nothing.
    private static void AssertInvalid(string start, string message, string actual)
    {
        Assert.StartsWith(start, actual, StringComparison.Ordinal);
        Assert.EndsWith(" " + message, actual.TrimEnd(), StringComparison.Ordinal);
        Assert.DoesNotContain('\n', actual.TrimEnd());
    }

    private static IEnumerable<(string Path, string Message)> Rules(V1JSONSchemaProps schema, string path = "")
    {
        var below = (schema.Properties ?? new Dictionary<string, V1JSONSchemaProps>()).SelectMany(field => Rules(field.Value, path.Length == 0 ? field.Key : $"{path}.{field.Key}"));
        if ((schema.Items ?? schema.AdditionalProperties) is V1JSONSchemaProps item)
            below = below.Concat(Rules(item, path + "[]"));
        return (schema.XKubernetesValidations ?? []).Select(rule => (path, rule.Message)).Concat(below);
    }

    [GeneratedRegex("\\[[0-9]+\\]", RegexOptions.CultureInvariant)]
    private static partial Regex Index();
}
