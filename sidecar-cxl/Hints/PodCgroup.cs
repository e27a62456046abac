using System.Text.RegularExpressions;

namespace Moebius.Cxl.Hints;

/// <summary>
/// The pod behind a cgroup path, whatever made it: cgroup v1 or v2, the systemd or the cgroupfs driver, containerd, CRI-O
/// or Docker, directly on a node or nested in another container.
/// </summary>
internal static partial class PodCgroup
{
    /// <summary>UID of the pod that a path belongs to, with dashes (a static pod's is 32 digits without); null if to none.</summary>
    public static string? PodUid(string path) => path.Split('/')
        // containerd without a runtime that knows systemd writes "SLICE:cri-containerd:ID" as one part.
        .SelectMany(part => part.Split(':'))
        .Select(piece => PodName().Match(piece))
        .LastOrDefault(match => match.Success)?.Groups[1].Value.Replace('_', '-');

    // pod<uid>, kubepods-burstable-pod<uid>.slice, kubelet-kubepods-pod<uid>.slice; systemd's slices use _ for -.
    [GeneratedRegex("^(?:[a-z-]+-)?pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\\.slice)?$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex PodName();
}
