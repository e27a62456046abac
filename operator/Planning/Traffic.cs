using System.Globalization;
using System.Net;
using System.Net.Sockets;
using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning;

/// <summary>Rules that NetworkPolicies are made of.</summary>
internal static class Traffic
{
    /// <summary>What every pod may ask: the name servers, wherever a cluster has them.</summary>
    public static V1NetworkPolicyEgressRule NameServers { get; } = new() { Ports = [Port(53, "UDP"), Port(53)] };

    /// <summary>Callers reach the API; the operator and whoever is allowed the metrics reach these.</summary>
    /// <param name="spec">Who may come.</param>
    /// <param name="settings">Where the operator is.</param>
    /// <param name="api">Port of the API.</param>
    /// <param name="metrics">Ports of metrics.</param>
    public static IList<V1NetworkPolicyIngressRule> In(NetworkPolicySpec spec, OperatorSettings settings, int api, params IEnumerable<int> metrics)
    {
        var callers = spec.AllowFrom ?? [new V1NetworkPolicyPeer { PodSelector = new V1LabelSelector() }];
        List<V1NetworkPolicyIngressRule> rules = [];
        // A rule without peers would allow everybody; an empty list means nobody.
        if (callers.Count > 0)
            rules.Add(new V1NetworkPolicyIngressRule { FromProperty = [.. callers], Ports = [Port(api)] });
        rules.Add(new V1NetworkPolicyIngressRule { FromProperty = [Namespace(settings.PodNamespace), .. spec.AllowMetricsFrom ?? []], Ports = [.. metrics.Select(port => Port(port))] });
        return rules;
    }

    /// <summary>
    /// As narrow as a NetworkPolicy can say it: an address is one host and port; the name of a Service is the pods of its
    /// namespace, whose ports the name does not tell; any other name is its port, because policies know no names. A name
    /// of two parts may be either.
    /// </summary>
    /// <param name="host">A name in lower case or an address, without brackets: where calls go.</param>
    /// <param name="port">Its port.</param>
    /// <param name="namespace">The namespace of the caller.</param>
    public static IEnumerable<V1NetworkPolicyEgressRule> Out(string host, int port, string @namespace)
    {
        List<V1NetworkPolicyPort> ports = [Port(port)];
        if (IPAddress.TryParse(host, out var address))
        {
            var length = address.AddressFamily == AddressFamily.InterNetworkV6 ? 128 : 32;
            return [new() { To = [new V1NetworkPolicyPeer { IpBlock = new V1IPBlock { Cidr = string.Create(CultureInfo.InvariantCulture, $"{address}/{length}") } }], Ports = ports }];
        }

        return host.TrimEnd('.').Split('.') switch
        {
            [_] => [new() { To = [Namespace(@namespace)] }],
            [_, var other, "svc", ..] => [new() { To = [Namespace(other)] }],
            [_, var other] => [new() { To = [Namespace(other)] }, new() { Ports = ports }],
            _ => [new() { Ports = ports }],
        };
    }

    /// <summary>The way out to a URL, whose host is in lower case already.</summary>
    public static IEnumerable<V1NetworkPolicyEgressRule> Out(Uri endpoint, string @namespace) => Out(endpoint.DnsSafeHost, endpoint.Port, @namespace);

    /// <summary>The way out to a host and port in one text, as <c>db.shop.svc:5432</c>.</summary>
    public static IEnumerable<V1NetworkPolicyEgressRule> Out(string address, string @namespace)
    {
        var colon = address.LastIndexOf(':');
        return Out(address[..colon].Trim('[', ']').ToLowerInvariant(), int.Parse(address.AsSpan(colon + 1), CultureInfo.InvariantCulture), @namespace);
    }

    public static V1NetworkPolicyPort Port(int port, string protocol = "TCP") => new() { Port = port, Protocol = protocol };

    private static V1NetworkPolicyPeer Namespace(string name) => new()
    {
        NamespaceSelector = new V1LabelSelector { MatchLabels = new Dictionary<string, string> { ["kubernetes.io/metadata.name"] = name } },
    };
}
