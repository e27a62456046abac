using System.Net;
using System.Text.RegularExpressions;
using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.Validation;

/// <summary>What the API server would refuse in a child, told of the field that it came from and before any child is made.</summary>
internal static partial class PlacementCheck
{
    /// <summary>Errors of a map of labels.</summary>
    public static IEnumerable<string> Labels(IDictionary<string, string>? labels, string field)
    {
        foreach (var (key, value) in labels ?? new Dictionary<string, string>())
        {
            var name = key[(key.IndexOf('/', StringComparison.Ordinal) + 1)..];
            if (name.Length > NameCheck.LabelLength || key.Length > 253 + 1 + NameCheck.LabelLength || !Key().IsMatch(key))
                yield return $"{field}[{key}]: '{key}' is not the key of a label: write letters, digits, '-', '_' and '.', at most 63, after a domain and '/' if there is one";
            if (value is not { Length: <= NameCheck.LabelLength } || !Value().IsMatch(value))
                yield return $"{field}[{key}]: '{value}' is not the value of a label: write at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last";
        }
    }

    /// <summary>Errors of a selector.</summary>
    public static IEnumerable<string> Selector(V1LabelSelector? selector, string field)
    {
        foreach (var error in Labels(selector?.MatchLabels, $"{field}.matchLabels"))
            yield return error;
        foreach (var (index, expression) in (selector?.MatchExpressions ?? []).Index())
        {
            var here = $"{field}.matchExpressions[{index}]";
            foreach (var error in Labels(new Dictionary<string, string> { [expression.Key] = "" }, here))
                yield return error;
            if (expression.OperatorProperty is "In" or "NotIn" == expression.Values is not { Count: > 0 })
                yield return $"{here}.values: must be given for In and NotIn, and only then";
        }
    }

    /// <summary>Errors of who may come in.</summary>
    public static IEnumerable<string> NetworkPolicy(NetworkPolicySpec spec, string field) =>
        Peers(spec.AllowFrom, $"{field}.allowFrom").Concat(Peers(spec.AllowMetricsFrom, $"{field}.allowMetricsFrom"));

    /// <summary>What a server without NetworkPolicies keeps from being honoured; null when nothing.</summary>
    public static Problem? Missing(NetworkPolicySpec spec, ServerCapabilities server) => spec.Enabled && !server.NetworkPolicies
        ? new Problem(Reasons.ServerCapabilityMissing, "spec.networkPolicy: the server has no networking.k8s.io/v1: traffic is not restricted", Blocks: false)
        : null;

    private static IEnumerable<string> Peers(IList<V1NetworkPolicyPeer>? peers, string field)
    {
        foreach (var (index, peer) in (peers ?? []).Index())
        {
            var here = $"{field}[{index}]";
            if (peer.IpBlock is null == (peer.PodSelector is null && peer.NamespaceSelector is null))
                yield return $"{here}: must have either ipBlock, or podSelector, namespaceSelector or both";
            foreach (var cidr in new[] { peer.IpBlock?.Cidr }.Concat(peer.IpBlock?.Except ?? []).OfType<string>().Where(cidr => !IPNetwork.TryParse(cidr, out _)))
                yield return $"{here}.ipBlock: '{cidr}' is not a network: write one such as 10.0.0.0/8";
            foreach (var error in Selector(peer.PodSelector, $"{here}.podSelector").Concat(Selector(peer.NamespaceSelector, $"{here}.namespaceSelector")))
                yield return error;
        }
    }

    /// <summary>Errors of what pods put up with.</summary>
    public static IEnumerable<string> Tolerations(IList<V1Toleration>? tolerations, string field)
    {
        foreach (var (index, toleration) in (tolerations ?? []).Index())
        {
            var here = $"{field}[{index}]";
            var exists = toleration.OperatorProperty == "Exists";
            if (string.IsNullOrEmpty(toleration.Key) && !exists)
                yield return $"{here}.operator: must be Exists where no key is given: name a key, or tolerate every taint with Exists";
            if (exists && !string.IsNullOrEmpty(toleration.Value))
                yield return $"{here}.value: '{toleration.Value}' has no meaning with operator Exists: remove it, or write Equal";
            if (toleration.TolerationSeconds is { } seconds && toleration.Effect != "NoExecute")
                yield return $"{here}.tolerationSeconds: {seconds} counts for effect NoExecute only: write that effect, or remove it";
            if (!string.IsNullOrEmpty(toleration.Key))
            {
                foreach (var error in Labels(new Dictionary<string, string> { [toleration.Key] = exists ? "" : toleration.Value ?? "" }, here))
                    yield return error;
            }
        }
    }

    /// <summary>Errors of how pods are spread.</summary>
    public static IEnumerable<string> Spread(IList<V1TopologySpreadConstraint>? constraints, string field)
    {
        var seen = new HashSet<(string, string)>();
        foreach (var (index, constraint) in (constraints ?? []).Index())
        {
            var here = $"{field}[{index}]";
            if (!seen.Add((constraint.TopologyKey, constraint.WhenUnsatisfiable)))
                yield return $"{here}: topologyKey '{constraint.TopologyKey}' with whenUnsatisfiable {constraint.WhenUnsatisfiable} is there already: use each pair once";
            if (constraint.MinDomains is { } domains && (domains < 1 || constraint.WhenUnsatisfiable != "DoNotSchedule"))
                yield return $"{here}.minDomains: {domains} must be 1 or more, and counts for whenUnsatisfiable DoNotSchedule only";
            foreach (var error in Labels(new Dictionary<string, string> { [constraint.TopologyKey] = "" }, $"{here}.topologyKey").Concat(Selector(constraint.LabelSelector, $"{here}.labelSelector")))
                yield return error;
        }
    }

    [GeneratedRegex("^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", RegexOptions.CultureInvariant)]
    private static partial Regex Key();

    [GeneratedRegex("^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", RegexOptions.CultureInvariant)]
    private static partial Regex Value();
}
