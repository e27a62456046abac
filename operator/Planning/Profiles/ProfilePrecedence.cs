using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning.Validation;

namespace Moebius.Operator.Planning.Profiles;

/// <summary>
/// Which of several profiles a node belongs to: the older one, then the first by name, of those that are valid or have
/// agents. The agents of the others keep away from it through node affinity, so no list of nodes is needed.
/// </summary>
internal static class ProfilePrecedence
{
    private const int MaxTerms = 64;

    /// <summary>Profiles that come before this one and may share nodes with it, strongest first.</summary>
    public static IReadOnlyList<MemorySchedulingProfile> Stronger(MemorySchedulingProfile profile, IEnumerable<MemorySchedulingProfile> others) =>
        [.. others
            .Where(other => other.Metadata.Name != profile.Metadata.Name && other is { Spec: not null, Metadata.DeletionTimestamp: null } && Compare(other, profile) < 0)
            .Where(other => MayOverlap(other.Spec.NodeSelector, profile.Spec.NodeSelector) && ServesNodes(other))
            .Order(Comparer<MemorySchedulingProfile>.Create(Compare))];

    /// <summary>Whether the agents of a profile run, as its status says; those made before a mistake in an edit go on.</summary>
    public static bool HasAgents(MemorySchedulingProfile? profile) => profile?.Status?.DesiredNodes > 0;

    /// <summary>Whether every node that <paramref name="narrow"/> selects is selected by <paramref name="wide"/>.</summary>
    public static bool Covers(Dictionary<string, string>? wide, Dictionary<string, string>? narrow) =>
        (wide ?? []).All(label => narrow is not null && narrow.TryGetValue(label.Key, out var value) && value == label.Value);

    /// <summary>
    /// Affinity for nodes that no stronger profile selects. A node is outside a selector when one of its labels differs,
    /// and outside all of them when that holds for each: terms are alternatives, so they multiply. Profiles for which
    /// that gets out of hand are given back.
    /// </summary>
    public static (V1NodeAffinity? Affinity, IReadOnlyList<MemorySchedulingProfile> Left) Without(
        IReadOnlyList<MemorySchedulingProfile> stronger,
        Dictionary<string, string>? own)
    {
        List<List<(string Key, string Value)>> terms = [[]];
        var left = new List<MemorySchedulingProfile>();
        foreach (var other in stronger)
        {
            // Labels that this profile asks for itself cannot differ.
            var labels = (other.Spec.NodeSelector ?? []).Where(label => own?.ContainsKey(label.Key) != true).OrderBy(label => label.Key, StringComparer.Ordinal).ToList();
            if (terms.Count * labels.Count > MaxTerms)
                left.Add(other);
            else
                terms = [.. terms.SelectMany(term => labels.Select(label => new List<(string, string)>(term) { (label.Key, label.Value) }))];
        }

        if (stronger.Count == left.Count)
            return (null, left);
        var affinity = new V1NodeAffinity
        {
            RequiredDuringSchedulingIgnoredDuringExecution = new V1NodeSelector
            {
                NodeSelectorTerms =
                [
                    .. terms.Select(term => new V1NodeSelectorTerm
                    {
                        MatchExpressions =
                        [
                            .. term.Distinct().GroupBy(label => label.Key).Select(group => new V1NodeSelectorRequirement
                            {
                                Key = group.Key,
                                OperatorProperty = "NotIn",
                                Values = [.. group.Select(label => label.Value)],
                            }),
                        ],
                    }),
                ],
            },
        };
        return (affinity, left);
    }

    /// <summary>
    /// Whether a profile may keep nodes from others: nobody would serve those of one that is not valid and has no agents.
    /// Labels that no node can have keep nothing, and have no place in an affinity.
    /// </summary>
    private static bool ServesNodes(MemorySchedulingProfile profile) => HasAgents(profile)
        ? !PlacementCheck.Labels(profile.Spec.NodeSelector, "spec.nodeSelector").Any()
        : ProfileCheck.Errors(profile).Count == 0;

    private static bool MayOverlap(Dictionary<string, string>? left, Dictionary<string, string>? right) =>
        left is null || right is null || left.All(label => !right.TryGetValue(label.Key, out var value) || value == label.Value);

    private static int Compare(MemorySchedulingProfile left, MemorySchedulingProfile right)
    {
        var age = DateTime.Compare(left.Metadata.CreationTimestamp ?? DateTime.MaxValue, right.Metadata.CreationTimestamp ?? DateTime.MaxValue);
        return age != 0 ? age : string.CompareOrdinal(left.Metadata.Name, right.Metadata.Name);
    }
}
