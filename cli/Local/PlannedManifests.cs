using Moebius.Crds;

namespace Moebius.Cli.Local;

/// <summary>Manifests and what the operator's planners make of them: the same objects as in a cluster.</summary>
internal sealed record PlannedManifests(IReadOnlyList<object> All, LocalObjects Objects, IReadOnlyList<string> Notes)
{
    public static PlannedManifests Load(IReadOnlyList<string> files) =>
        throw new UserInputException($"{files[0]}: planning is not wired in yet");

    public string ToYaml() => string.Join("---\n", All.Select(Manifests.ToYaml));
}
