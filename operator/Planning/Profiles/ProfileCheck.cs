using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning.Validation;

namespace Moebius.Operator.Planning.Profiles;

/// <summary>What is wrong with a MemorySchedulingProfile, other profiles aside.</summary>
internal static class ProfileCheck
{
    /// <summary>Every mistake in its name and spec; empty when the profile is valid.</summary>
    public static IReadOnlyList<string> Errors(MemorySchedulingProfile profile)
    {
        var errors = NameCheck.Errors(profile.Metadata.Name, NameCheck.LabelLength - Names.NodeAgent("").Length)
            .Concat(SpecCheck.Errors(profile.Spec, "spec").Select(error => error.ToString()))
            .ToList();
        return errors.Count > 0 ? errors : [.. CrossField(profile.Spec)];
    }

    private static IEnumerable<string> CrossField(MemorySchedulingProfileSpec spec) => PlacementCheck.Labels(spec.NodeSelector, "spec.nodeSelector")
        .Concat(PlacementCheck.Tolerations(spec.Agent.Tolerations, "spec.agent.tolerations"))
        .Concat(ResourcesCheck.Errors(spec.Agent.Resources, "spec.agent.resources"))
        .Concat((spec.Workloads ?? []).SelectMany(hint => PlacementCheck.Selector(hint.PodSelector, $"spec.workloads[{hint.Name}].podSelector")
            .Concat(PlacementCheck.Selector(hint.NamespaceSelector, $"spec.workloads[{hint.Name}].namespaceSelector"))));
}
