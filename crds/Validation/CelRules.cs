using k8s.Models;
using Moebius.Crds.Schema;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Crds.Validation;

/// <summary>
/// The CEL rules of the CRDs in C#, by their message. A test holds the two lists together.
/// </summary>
internal static class CelRules
{
    private static readonly Dictionary<string, Func<object, bool>> Rules = new(StringComparer.Ordinal);

    static CelRules()
    {
        Add<MoEDeploymentSpec>(
            "spec.replicas must lie between autoscaling.minReplicas and autoscaling.maxReplicas, or be left out when autoscaling is set",
            spec => spec.Autoscaling is not { } scaling || spec.Replicas is not { } replicas || (replicas >= scaling.MinReplicas && replicas <= scaling.MaxReplicas));
        Add<MoEDeploymentSpec>(
            "spec.kvCache.policyRef has no effect while spec.kvCache.enabled is false: remove it or enable the cache",
            spec => spec.KVCache.Enabled || spec.KVCache.PolicyRef is null);
        Add<KVCacheSpec>(
            "ssd, shared and resources have no effect while enabled is false: remove them, or enable the cache",
            cache => cache.Enabled || (cache.Ssd is null && cache.Shared is null && cache.Resources is null));
        Add<ModelSource>(
            "exactly one of hostPath, persistentVolumeClaim, image, s3, http, huggingFace must be set",
            source => new object?[] { source.HostPath, source.PersistentVolumeClaim, source.Image, source.S3, source.Http, source.HuggingFace }.Count(part => part is not null) == 1);
        Add<ModelSource>(
            "store must be set for s3, http and huggingFace and only then: it is where the download is kept",
            source => source.Store is not null == (source.S3 is not null || source.Http is not null || source.HuggingFace is not null));
        Add<string>(RelativePath.InVolume, StaysInside);
        Add<string>(RelativePath.InImage, StaysInside);
        Add<string>("must not climb with '..'", path => !path.Split('/').Contains(".."));
        Add<string>(FreeHeader.Message, FreeHeader.Holds);
        Add<string>(PositiveDuration.Message, duration => duration.Any(digit => digit is >= '1' and <= '9'));
        Add<string>(CallDuration.Message, duration => Durations.Parse(duration, "") is var call && call >= TimeSpan.FromMilliseconds(10) && call <= TimerDuration.Longest);
        Add<string>(TimerDuration.Message, duration => Durations.Parse(duration, "") <= TimerDuration.Longest);
        Add<string>(RetentionDuration.Message, duration => Durations.Parse(duration, "") >= RetentionDuration.Shortest);
        Add<string>(AgingDuration.Message, duration => Durations.Parse(duration, "") <= AgingDuration.Longest);
        Add<string>("must be 100ms or longer", duration => Durations.Parse(duration, "") >= TimeSpan.FromMilliseconds(100));
        Add<NetworkPolicySpec>(
            "allowFrom and allowMetricsFrom have no effect while enabled is false: remove them, or enable the policy",
            policy => policy.Enabled || (policy.AllowFrom is null && policy.AllowMetricsFrom is null));
        Add<RolloutSpec>(
            "maxSurge and maxUnavailable must not both be 0: no pod could be replaced",
            rollout => !IsNone(rollout.MaxSurge) || !IsNone(rollout.MaxUnavailable));
        Add<IdentitySpec>(
            "signature.header must be another one than tenantHeader",
            identity => identity.Signature is null || !identity.Signature.Header.Equals(identity.TenantHeader, StringComparison.OrdinalIgnoreCase));
        Add<ServingSpec>(
            "reasoningParser Harmony goes with toolCallParser Auto, None or Harmony only",
            serving => serving.ReasoningParser != ReasoningParser.Harmony || serving.ToolCallParser is ToolCallParser.Auto or ToolCallParser.None or ToolCallParser.Harmony);
        Add<ServingSpec>(
            "toolCallParser Harmony goes with reasoningParser Auto, None or Harmony only",
            serving => serving.ToolCallParser != ToolCallParser.Harmony || serving.ReasoningParser is ReasoningParser.Auto or ReasoningParser.None or ReasoningParser.Harmony);
        Add<ServingSpec>(
            "maxBatchTokens must be at least maxConcurrentSequences: every running sequence takes a token of a step",
            serving => serving.MaxBatchTokens >= serving.MaxConcurrentSequences);
        Add<PrefetchSpec>("horizon must be set for mode Fixed and only then", prefetch => prefetch.Mode == PrefetchMode.Fixed == prefetch.Horizon is not null);
        Add<AutoscalingSpec>("minReplicas must not exceed maxReplicas", scaling => scaling.MinReplicas <= scaling.MaxReplicas);
        Add<AutoscalingSpec>("prometheusAddress must be set for autoscaler Keda and only then", scaling => scaling.Autoscaler == Autoscaler.Keda == scaling.PrometheusAddress is not null);
        Add<IntegrationSpec>("endpointPickerRef must be set for inferencePool Required", integrations => integrations.InferencePool != IntegrationMode.Required || integrations.EndpointPickerRef is not null);
        Add<IntegrationSpec>(
            "endpointPickerRef has no effect with inferencePool Disabled: remove it, or write Auto",
            integrations => integrations.InferencePool != IntegrationMode.Disabled || integrations.EndpointPickerRef is null);
        Add<PublicPrefix>("exactly one of text and configMapRef must be set", prefix => prefix.Text is not null != prefix.ConfigMapRef is not null);
        Add<KVPrivacyPolicySpec>(
            "contextCheck judges what the classifier leaves open: set classifier.type to BuiltIn or Onnx",
            policy => policy.ContextCheck is null || policy.Classifier.Type != ClassifierType.Disabled);
        Add<OnnxClassifierSpec>("exactly one of claimName and image must be set", classifier => classifier.ClaimName is not null != classifier.Image is not null);
        Add<ClassifierSpec>("publicBelowPercent must not exceed privateAbovePercent", classifier => classifier.PublicBelowPercent <= classifier.PrivateAbovePercent);
        Add<ClassifierSpec>("onnx must be set for type Onnx and only then", classifier => classifier.Type == ClassifierType.Onnx == classifier.Onnx is not null);
        Add<PromptOptimizationJobSpec>("exactly one of prompt and prompts must be set", job => job.Prompt is not null != job.Prompts is not null);
        // Needs the old object, which only an API server has; on one without CEL the controller notices the generation.
        Add<PromptOptimizationJobSpec>("the spec of a PromptOptimizationJob cannot be changed: make a new job", _ => true);
        Add<LanguageModelSpec>("exactly one of moeDeploymentRef and endpoint must be set", model => model.MoeDeploymentRef is not null != model.Endpoint is not null);
        Add<LanguageModelSpec>("timeout is for moeDeploymentRef: write endpoint.timeout", model => model.Timeout is null || model.Endpoint is null);
        Add<ScorerSpec>("endpoint must be set for type VisionLanguageModel and only then", scorer => scorer.Type == ScorerType.VisionLanguageModel == scorer.Endpoint is not null);
        Add<ScorerSpec>("clip must be set for type Clip and only then", scorer => scorer.Type == ScorerType.Clip == scorer.Clip is not null);
        Add<ImageModelSpec>(
            "endpoint.url for Automatic1111 and ComfyUI is that of the server itself, such as http://host:7860, without /v1",
            image => image.Api == ImageApi.OpenAI || !image.Endpoint.Url.TrimEnd('/').EndsWith("/v1", StringComparison.Ordinal));
        Add<ImageModelSpec>(
            "size for Automatic1111 and ComfyUI must be in multiples of 8 pixels",
            image => image.Api == ImageApi.OpenAI || image.Size.Split('x').All(side => int.Parse(side, System.Globalization.CultureInfo.InvariantCulture) % 8 == 0));
        Add<JobStoreSpec>("connectionSecretRef must be set for type PostgreSQL and only then", store => store.Type == JobStoreType.PostgreSQL == store.ConnectionSecretRef is not null);
        Add<JobStoreSpec>("caSecretRef and address have no effect for type Sqlite: remove them", store => store.Type == JobStoreType.PostgreSQL || (store.CaSecretRef is null && store.Address is null));
        Add<JobStoreSpec>("storageClassName has no effect for type PostgreSQL: remove it", store => store.Type == JobStoreType.Sqlite || store.StorageClassName is null);
        Add<PromptOptimizerSpec>(
            "replicas must be 1 with store.type Sqlite, whose file one process owns: write PostgreSQL for more",
            spec => spec.Replicas == 1 || spec.Store.Type == JobStoreType.PostgreSQL);
        Add<PromptOptimizerSpec>(
            "store.address is for the NetworkPolicy and has no effect while networkPolicy.enabled is false: remove it",
            spec => spec.NetworkPolicy.Enabled || spec.Store.Address is null);
    }

    /// <summary>Messages of the rules known here.</summary>
    public static IReadOnlyCollection<string> Messages => Rules.Keys;

    /// <summary>Whether the rule with this message holds.</summary>
    /// <exception cref="InvalidOperationException">A CRD has a rule that is missing here.</exception>
    public static bool Holds(string message, object value) =>
        Rules.TryGetValue(message, out var rule) ? rule(value) : throw new InvalidOperationException($"no C# counterpart of the CEL rule '{message}'");

    private static void Add<T>(string message, Func<T, bool> rule) => Rules.Add(message, value => rule((T)value));

    private static bool IsNone(IntOrString pods) => pods.ToString() is "0" or "0%";

    private static bool StaysInside(string path) => !path.StartsWith('/') && !path.Contains("..", StringComparison.Ordinal);
}
