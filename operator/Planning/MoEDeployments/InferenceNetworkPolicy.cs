using System.Globalization;
using System.Net;
using System.Net.Sockets;
using k8s.Models;
using Moebius.Crds.V1Alpha1;

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
        var spec = resource.Spec;
        var operators = new V1NetworkPolicyPeer
        {
            NamespaceSelector = Namespace(settings.PodNamespace),
        };
        var callers = spec.NetworkPolicy.AllowFrom ?? [new V1NetworkPolicyPeer { PodSelector = new V1LabelSelector() }];
        List<V1NetworkPolicyPort> metrics = [Port(spec.Serving.Port, "TCP")];
        if (spec.KVCache.Enabled)
            metrics.Add(Port(PodPaths.KVCacheMetricsPort, "TCP"));

        List<V1NetworkPolicyIngressRule> ingress = [new() { FromProperty = [operators, .. spec.NetworkPolicy.AllowMetricsFrom ?? []], Ports = metrics }];
        // A rule without peers would allow everybody; an empty list means nobody.
        if (callers.Count > 0)
            ingress.Insert(0, new V1NetworkPolicyIngressRule { FromProperty = [.. callers], Ports = [Port(spec.Serving.Port, "TCP")] });
        return child.NetworkPolicy(
            Names.Inference(resource.Metadata.Name),
            ingress,
            [
                new V1NetworkPolicyEgressRule { Ports = [Port(53, "UDP"), Port(53, "TCP"), .. SharedTier(spec)] },
                .. spec.KVCache.Enabled && policy?.Spec.ContextCheck is { } check ? [ContextCheck(new Uri(check.Endpoint.Url), resource.Metadata.NamespaceProperty)] : Array.Empty<V1NetworkPolicyEgressRule>(),
            ]);
    }

    private static IEnumerable<V1NetworkPolicyPort> SharedTier(MoEDeploymentSpec spec) => spec.KVCache is { Enabled: true, Shared.Address: { } address }
        ? [Port(int.Parse(address[(address.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture), "TCP")]
        : [];

    /// <summary>
    /// As narrow as a NetworkPolicy can say it: an address is one host and port; the name of a Service is the pods of its
    /// namespace, whose ports the name does not tell; any other name is its port, because policies know no names.
    /// </summary>
    private static V1NetworkPolicyEgressRule ContextCheck(Uri endpoint, string @namespace)
    {
        List<V1NetworkPolicyPort> ports = [Port(endpoint.Port, "TCP")];
        if (IPAddress.TryParse(endpoint.DnsSafeHost, out var address))
        {
            var length = address.AddressFamily == AddressFamily.InterNetworkV6 ? 128 : 32;
            return new V1NetworkPolicyEgressRule { To = [new V1NetworkPolicyPeer { IpBlock = new V1IPBlock { Cidr = string.Create(CultureInfo.InvariantCulture, $"{address}/{length}") } }], Ports = ports };
        }

        return endpoint.DnsSafeHost.TrimEnd('.').Split('.') switch
        {
            [_] => new V1NetworkPolicyEgressRule { To = [new V1NetworkPolicyPeer { NamespaceSelector = Namespace(@namespace) }] },
            [_, var other, "svc", ..] => new V1NetworkPolicyEgressRule { To = [new V1NetworkPolicyPeer { NamespaceSelector = Namespace(other) }] },
            _ => new V1NetworkPolicyEgressRule { Ports = ports },
        };
    }

    private static V1LabelSelector Namespace(string name) => new() { MatchLabels = new Dictionary<string, string> { ["kubernetes.io/metadata.name"] = name } };

    private static V1NetworkPolicyPort Port(int port, string protocol) => new() { Port = port, Protocol = protocol };
}
