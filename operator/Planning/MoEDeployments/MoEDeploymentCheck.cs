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
            errors.AddRange(CrossField(resource.Spec));
        if (errors.Count > 0)
            return errors.Select(error => new Problem(Reasons.InvalidSpec, error, Blocks: true));
        // A profile may have been edited since: that must not keep pods from being stopped.
        var stops = MoEDeploymentPlanner.Stops(resource.Spec);
        var torn = Contradictions(resource.Spec, profile).Select(error => new Problem(Reasons.InvalidSpec, error, Blocks: !stops)).ToList();
        return torn.Count > 0 && !stops ? torn : torn.Concat(Missing(resource.Spec, server));
    }

    private static IEnumerable<string> Contradictions(MoEDeploymentSpec spec, MemorySchedulingProfile? profile)
    {
        foreach (var (key, value) in spec.Placement?.NodeSelector ?? [])
        {
            if (profile?.Spec?.NodeSelector?.TryGetValue(key, out var other) == true && other != value)
                yield return $"spec.placement.nodeSelector[{key}]: '{value}' contradicts '{other}' of MemorySchedulingProfile '{profile.Metadata.Name}': no node can have both; remove one of them";
        }
    }

    private static IEnumerable<string> CrossField(MoEDeploymentSpec spec)
    {
        var quantities = QuantityErrors(spec).ToList();
        foreach (var error in quantities)
            yield return error;
        if (quantities.Count > 0)
            yield break;
        foreach (var error in PodMemory.Errors(spec))
            yield return error;

        if (spec.Serving.Port == PodPaths.InferenceMetricsPort)
            yield return $"spec.serving.port: {spec.Serving.Port} is the port of the engine's metrics: choose another one, such as 8000";
        if (spec.KVCache.Enabled && spec.Serving.Port == PodPaths.KVCacheMetricsPort)
            yield return $"spec.serving.port: {spec.Serving.Port} is the port of the cache's metrics: choose another one, such as 8000";
        if (spec.KVCache.Shared is { Address: var address } && (!int.TryParse(address[(address.LastIndexOf(':') + 1)..], out var port) || port is < 1 or > 65535))
            yield return $"spec.kvCache.shared.address: '{address}' is not a host and port: write one such as valkey:6379";
        if (spec.KVCache.Ssd is { Size: var size })
        {
            foreach (var error in NameCheck.Positive(size, "spec.kvCache.ssd.size"))
                yield return error;
        }

        if (spec.Model.Source.Store is { Size: var store })
        {
            foreach (var error in NameCheck.Positive(store, "spec.model.source.store.size").Concat(ResourcesCheck.Errors(spec.Model.Source.Store.Download?.Resources, "spec.model.source.store.download.resources")))
                yield return error;
        }

        if (spec.Model.Source.Store?.Download?.Proxy is { Url: var proxy } && (!Uri.TryCreate(proxy, UriKind.Absolute, out var uri) || uri.Port < 1))
            yield return $"spec.model.source.store.download.proxy.url: '{proxy}' is not a URL with a host and a port: write one such as http://proxy.example.com:3128";

        foreach (var error in PlacementCheck.Labels(spec.Placement?.NodeSelector, "spec.placement.nodeSelector")
            .Concat(PlacementCheck.Tolerations(spec.Placement?.Tolerations, "spec.placement.tolerations"))
            .Concat(PlacementCheck.Spread(spec.Placement?.TopologySpreadConstraints, "spec.placement.topologySpreadConstraints"))
            .Concat(ResourcesCheck.Errors(spec.Resources, "spec.resources"))
            .Concat(ResourcesCheck.Errors(spec.KVCache.Resources, "spec.kvCache.resources"))
            .Concat(PlacementCheck.NetworkPolicy(spec.NetworkPolicy, "spec.networkPolicy")))
        {
            yield return error;
        }

        if (spec.PodTemplate is { Count: > 0 } template)
        {
            foreach (var error in PodTemplateOverride.Errors(template, spec))
                yield return error;
        }
    }

    private static IEnumerable<string> QuantityErrors(MoEDeploymentSpec spec)
    {
        if (spec.Experts.FastMemory is { } experts)
        {
            foreach (var error in NameCheck.Positive(experts, "spec.experts.fastMemory"))
                yield return error;
        }

        foreach (var error in NameCheck.Positive(spec.Serving.KVMemory, "spec.serving.kvMemory").Concat(NameCheck.Positive(spec.KVCache.Memory, "spec.kvCache.memory")))
            yield return error;
    }

    private static IEnumerable<Problem> Missing(MoEDeploymentSpec spec, ServerCapabilities server)
    {
        if (spec.Experts.SlowTier == SlowTier.HostMemory)
            yield return new Problem(Reasons.UnsupportedField, "spec.experts.slowTier: HostMemory is for a fast tier on a device, which this version does not have: write DirectIO or MemoryMap", Blocks: true);
        if (spec.Serving.ComputeType != ComputeType.Float32)
            yield return new Problem(Reasons.UnsupportedField, $"spec.serving.computeType: {spec.Serving.ComputeType} is not supported yet: write Float32", Blocks: true);
        if (spec.KVCache is { Enabled: true, Ssd.StorageClassName: not null } && !server.EphemeralVolumes)
            yield return new Problem(Reasons.ServerCapabilityMissing, $"spec.kvCache.ssd.storageClassName: a Kubernetes {server.Version} server has no generic ephemeral volumes (1.21 has): remove it to use the node's disk", Blocks: true);
        if (!server.PodDisruptionBudgets)
            yield return new Problem(Reasons.ServerCapabilityMissing, $"spec.disruption: a Kubernetes {server.Version} server has no PodDisruptionBudget of policy/v1 (1.21 has): pods are not protected from voluntary disruptions", Blocks: false);
        if (PlacementCheck.Missing(spec.NetworkPolicy, server) is { } traffic)
            yield return traffic;
        if (Autoscaling.Missing(spec, server) is { } autoscaler)
            yield return autoscaler;
        foreach (var integration in Integrations.Missing(spec.Integrations, server))
            yield return integration;
    }
}
