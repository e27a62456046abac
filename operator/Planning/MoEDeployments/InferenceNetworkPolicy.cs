using System.Globalization;
using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// The NetworkPolicy of inference pods: callers reach the API, the operator and whoever is allowed the metrics, and the
/// pods themselves only name servers: the engine calls nobody, the cache the tier between pods where there is
/// one.
/// </summary>
internal static class InferenceNetworkPolicy
{
    public static V1NetworkPolicy Plan(MoEDeployment resource, ChildBuilder child, OperatorSettings settings)
    {
        var spec = resource.Spec;
        var operators = new V1NetworkPolicyPeer
        {
            NamespaceSelector = new V1LabelSelector { MatchLabels = new Dictionary<string, string> { ["kubernetes.io/metadata.name"] = settings.Namespace } },
        };
        var callers = spec.NetworkPolicy.AllowFrom ?? [new V1NetworkPolicyPeer { PodSelector = new V1LabelSelector() }];
        List<V1NetworkPolicyPort> metrics = [Port(spec.Serving.Port, "TCP")];
        if (spec.KVCache.Enabled)
            metrics.Add(Port(PodPaths.KVCacheMetricsPort, "TCP"));

        List<V1NetworkPolicyIngressRule> ingress = [new() { FromProperty = [operators, .. spec.NetworkPolicy.AllowMetricsFrom ?? []], Ports = metrics }];
        // A rule without peers would allow everybody; an empty list means nobody.
        if (callers.Count > 0)
            ingress.Insert(0, new V1NetworkPolicyIngressRule { FromProperty = [.. callers], Ports = [Port(spec.Serving.Port, "TCP")] });
        return new V1NetworkPolicy
        {
            ApiVersion = "networking.k8s.io/v1",
            Kind = "NetworkPolicy",
            Metadata = child.Metadata(Names.Inference(resource.Metadata.Name)),
            Spec = new V1NetworkPolicySpec
            {
                PodSelector = new V1LabelSelector { MatchLabels = child.Selector() },
                PolicyTypes = ["Ingress", "Egress"],
                Ingress = ingress,
                Egress = [new V1NetworkPolicyEgressRule { Ports = [Port(53, "UDP"), Port(53, "TCP"), .. SharedTier(spec)] }],
            },
        };
    }

    private static IEnumerable<V1NetworkPolicyPort> SharedTier(MoEDeploymentSpec spec) => spec.KVCache is { Enabled: true, Shared.Address: { } address }
        ? [Port(int.Parse(address[(address.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture), "TCP")]
        : [];

    private static V1NetworkPolicyPort Port(int port, string protocol) => new() { Port = port, Protocol = protocol };
}
