using Moebius.Crds.V1Alpha1;

namespace Moebius.Crds.Validation;

/// <summary>What the author of a resource should know although it is valid.</summary>
public static class Advice
{
    /// <summary>All of it, each naming its field. Of a spec with errors nothing has to be said.</summary>
    /// <param name="resource">An instance of a type in <see cref="ResourceKinds"/>.</param>
    public static IEnumerable<string> Of(object resource) => resource switch
    {
        MoEDeployment { Spec: { } spec } => Of(spec),
        KVPrivacyPolicy { Spec: { } spec } => Endpoint(spec.ContextCheck?.Endpoint, "spec.contextCheck.endpoint").Concat(Classifier(spec)),
        PromptOptimizer { Spec: { } spec } => Endpoint(spec.LanguageModel?.Endpoint, "spec.languageModel.endpoint")
            .Concat(Endpoint(spec.Scorer?.Endpoint, "spec.scorer.endpoint"))
            .Concat(Endpoint(spec.ImageModel?.Endpoint, "spec.imageModel.endpoint")),
        _ => [],
    };

    private static IEnumerable<string> Of(MoEDeploymentSpec spec)
    {
        if (spec.KVCache?.Shared is { Tls: false, PasswordSecretRef: not null })
            yield return "spec.kvCache.shared.tls: is false, and the password of passwordSecretRef crosses the network in plain text: write true, if the store has TLS";
        if (spec.Model?.Source?.HuggingFace is { TokenSecretRef: not null, Endpoint: { } hub } && IsPlain(hub))
            yield return $"spec.model.source.huggingFace.endpoint: '{hub}' has no TLS, and the token of tokenSecretRef crosses the network in plain text: use https";
        if (spec is { Model.Source.Store.AccessMode: StoreAccess.ReadWriteOnce } && (spec.Replicas > 1 || spec.Autoscaling is not null))
            yield return "spec.model.source.store.accessMode: ReadWriteOnce is for pods of one node, and there may be more than one pod: those on another node would wait for the volume for ever; write ReadWriteMany with a storage class that has it, or keep them on one node with spec.placement";
        if (spec.Integrations is { EndpointPickerRef: { } picker, InferencePool: not IntegrationMode.Disabled } && spec.NetworkPolicy is { Enabled: true, AllowMetricsFrom: null or { Count: 0 } })
            yield return $"spec.networkPolicy.allowMetricsFrom: names nobody, and the endpoint picker '{picker.Name}' chooses by the engines' metrics: name its pods, and start it with --model-server-metrics-port=9400";
    }

    private static IEnumerable<string> Classifier(KVPrivacyPolicySpec spec)
    {
        if (spec.Classifier is { Type: ClassifierType.Onnx })
            yield return "spec.classifier.onnx: the model is loaded into the memory of each sidecar, whose default limit has no room for a large one: set spec.kvCache.resources of the MoEDeployments that use this policy to the arena (spec.kvCache.memory), 256Mi and about twice the size of model.onnx";
    }

    private static IEnumerable<string> Endpoint(ModelEndpoint? endpoint, string field)
    {
        if (endpoint is { ApiKeySecretRef: not null, Url: { } url } && IsPlain(url))
            yield return $"{field}.url: has no TLS, and the key of apiKeySecretRef crosses the network in plain text, with the texts: use https";
    }

    private static bool IsPlain(string url) => url.StartsWith("http://", StringComparison.OrdinalIgnoreCase);
}
