using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// The NetworkPolicy of inference pods: callers reach the API, the operator and whoever is allowed the metrics, and the
/// pods themselves only name servers: the engine calls nobody, the cache the tier between pods and the endpoint of the
/// policy's context check where there are any.
/// </summary>
internal static class InferenceNetworkPolicy
{
    public static V1NetworkPolicy Plan(MoEDeployment resource, KVPrivacyPolicy? policy, ChildBuilder child, OperatorSettings settings)
    {
        var (spec, cache) = (resource.Spec, resource.Spec.KVCache);
        List<V1NetworkPolicyEgressRule> egress = [Traffic.NameServers];
        if (cache is { Enabled: true, Shared.Address: { } address })
            egress.AddRange(Traffic.Out(address, resource.Metadata.NamespaceProperty));
        if (cache.Enabled && policy?.Spec.ContextCheck is { Endpoint: var judge })
            egress.AddRange(Traffic.Out(EndpointUrl.Parse(judge, "spec.contextCheck.endpoint"), resource.Metadata.NamespaceProperty));
        return child.NetworkPolicy(
            Names.Inference(resource.Metadata.Name),
            Traffic.In(spec.NetworkPolicy, settings, spec.Serving.Port, cache.Enabled ? [PodPaths.InferenceMetricsPort, PodPaths.KVCacheMetricsPort] : [PodPaths.InferenceMetricsPort]),
            egress);
    }
}
