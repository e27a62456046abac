using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning.Validation;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>What is wrong with a MoEDeployment, references aside.</summary>
internal static class MoEDeploymentCheck
{
    public static IEnumerable<Problem> Problems(MoEDeployment resource, MemorySchedulingProfile? profile, ServerCapabilities server)
    {
        var errors = NameCheck.Errors(resource.Metadata.Name, NameCheck.LabelLength).Concat(SpecCheck.Errors(resource.Spec, "spec").Select(error => error.ToString())).ToList();
        if (errors.Count == 0)
            errors.AddRange(CrossField(resource.Spec, profile));
        var problems = errors.Select(error => new Problem(Reasons.InvalidSpec, error, Blocks: true));
        return errors.Count > 0 ? problems : Unsupported(resource.Spec).Concat(Missing(resource.Spec, server)).Concat(NotMade(resource.Spec.Integrations, server));
    }

    private static IEnumerable<string> CrossField(MoEDeploymentSpec spec, MemorySchedulingProfile? profile)
    {
        var quantities = QuantityErrors(spec).ToList();
        foreach (var error in quantities)
            yield return error;
        if (quantities.Count > 0)
            yield break;
        foreach (var error in PodMemory.Errors(spec))
            yield return error;

        if (spec.KVCache.Enabled && spec.Serving.Port == PodPaths.KVCacheMetricsPort)
            yield return $"spec.serving.port: {spec.Serving.Port} is the port of the cache's metrics: choose another one, such as 8000";
        foreach (var (key, value) in spec.Placement?.NodeSelector ?? [])
        {
            if (profile?.Spec?.NodeSelector?.TryGetValue(key, out var other) == true && other != value)
                yield return $"spec.placement.nodeSelector[{key}]: '{value}' contradicts '{other}' of MemorySchedulingProfile '{profile.Metadata.Name}': no node can have both; remove one of them";
        }
    }

    private static IEnumerable<string> QuantityErrors(MoEDeploymentSpec spec)
    {
        if (spec.Experts.FastMemory is { } experts)
        {
            foreach (var error in Positive(experts, "spec.experts.fastMemory"))
                yield return error;
        }

        foreach (var error in Positive(spec.Serving.KVMemory, "spec.serving.kvMemory").Concat(Positive(spec.KVCache.Memory, "spec.kvCache.memory")))
            yield return error;
    }

    private static IEnumerable<string> Positive(k8s.Models.ResourceQuantity quantity, string field) => NameCheck.Catch(() =>
    {
        if (Quantities.Bytes(quantity, field) == 0)
            throw new UserInputException($"{field}: '{quantity}' is nothing: write a whole, positive quantity such as 512Mi");
    });

    private static IEnumerable<Problem> Unsupported(MoEDeploymentSpec spec)
    {
        var source = spec.Model.Source;
        if (source.S3 is not null)
            yield return Unsupported("spec.model.source.s3", "bring the model into a volume claim and use persistentVolumeClaim", blocks: true);
        if (source.Http is not null)
            yield return Unsupported("spec.model.source.http", "bring the model into a volume claim and use persistentVolumeClaim", blocks: true);
        if (source.HuggingFace is not null)
            yield return Unsupported("spec.model.source.huggingFace", "bring the model into a volume claim and use persistentVolumeClaim", blocks: true);
        if (source.Store is not null)
            yield return Unsupported("spec.model.source.store", "remove it", blocks: false);
        // What changes the pod's memory, storage or rights must not run half-honoured.
        if (spec.PodTemplate is { Count: > 0 })
            yield return Unsupported("spec.podTemplate", "remove it", blocks: true);
        if (spec.KVCache.Ssd is not null)
            yield return Unsupported("spec.kvCache.ssd", "remove it; blocks live in spec.kvCache.memory only", blocks: false);
        if (spec.KVCache.Shared is not null)
            yield return Unsupported("spec.kvCache.shared", "remove it; blocks are not shared between pods", blocks: false);
        if (spec.Autoscaling is not null)
            yield return Unsupported("spec.autoscaling", $"the number of pods stays {MoEDeploymentPlanner.Replicas(spec)}; set spec.replicas", blocks: false);
        if (spec.Integrations.PodMonitor == IntegrationMode.Required)
            yield return Unsupported("spec.integrations.podMonitor", "write Auto or Disabled", blocks: false);
        if (spec.Integrations.InferencePool == IntegrationMode.Required)
            yield return Unsupported("spec.integrations.inferencePool", "write Auto or Disabled", blocks: false);
    }

    private static IEnumerable<Problem> Missing(MoEDeploymentSpec spec, ServerCapabilities server)
    {
        if (spec.Model.Source.Image is not null && !server.ImageVolumes)
            yield return new Problem(Reasons.ServerCapabilityMissing, $"spec.model.source.image: a Kubernetes {server.Version} server cannot mount images (1.35 can): bring the model into a volume claim and use persistentVolumeClaim", Blocks: true);
        if (!server.PodDisruptionBudgets)
            yield return new Problem(Reasons.ServerCapabilityMissing, $"spec.disruption: a Kubernetes {server.Version} server has no PodDisruptionBudget of policy/v1 (1.21 has): pods are not protected from voluntary disruptions", Blocks: false);
        if (spec.NetworkPolicy.Enabled && !server.NetworkPolicies)
            yield return new Problem(Reasons.ServerCapabilityMissing, "spec.networkPolicy: the server has no networking.k8s.io/v1: traffic is not restricted", Blocks: false);
    }

    // Auto promises an object where the server has its kind; elsewhere there is nothing to report.
    private static IEnumerable<Problem> NotMade(IntegrationSpec spec, ServerCapabilities server)
    {
        if (spec.PodMonitor == IntegrationMode.Auto && server.PodMonitorApi is { } monitors)
            yield return NotMade("podMonitor", $"the server has {monitors}, but no PodMonitor is made yet: make one for port http of the pods, and write Disabled");
        if (spec.InferencePool == IntegrationMode.Auto && server.InferencePoolApi is { } pools)
            yield return NotMade("inferencePool", $"the server has {pools}, but no InferencePool is made yet: make one for port http of the pods, and write Disabled");
    }

    private static Problem NotMade(string field, string message) =>
        new(Reasons.IntegrationNotMade, $"spec.integrations.{field}: {message}", Blocks: false);

    private static Problem Unsupported(string field, string remedy, bool blocks) =>
        new(Reasons.UnsupportedField, $"{field}: not supported yet: {remedy}", blocks);
}
