using System.Text.RegularExpressions;

namespace Moebius.Cxl.Hints;

/// <summary>
/// The pod and container behind a cgroup path, whatever made it: cgroup v1 or v2, the systemd or the cgroupfs driver,
/// containerd, CRI-O or Docker, directly on a node or nested in another container.
/// </summary>
/// <param name="PodUid">The pod's UID with dashes; a static pod's is 32 digits without.</param>
/// <param name="ContainerId">The container's id; null for the pod's own cgroup.</param>
internal sealed partial record PodCgroup(string PodUid, string? ContainerId)
{
    /// <summary>Reads a path; null if it belongs to no pod.</summary>
    public static PodCgroup? Parse(string path)
    {
        string? pod = null;
        string? container = null;
        foreach (var part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            // containerd without a runtime that knows systemd writes "SLICE:cri-containerd:ID" as one part.
            foreach (var piece in part.Split(':'))
            {
                if (PodName().Match(piece) is { Success: true } podMatch)
                    (pod, container) = (podMatch.Groups[1].Value.Replace('_', '-'), null);
                else if (pod is not null && container is null && ContainerName().Match(piece) is { Success: true } containerMatch)
                    container = containerMatch.Groups[1].Value;
            }
        }

        return pod is null ? null : new PodCgroup(pod, container);
    }

    // pod<uid>, kubepods-burstable-pod<uid>.slice, kubelet-kubepods-pod<uid>.slice; systemd's slices use _ for -.
    [GeneratedRegex("^(?:[a-z-]+-)?pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\\.slice)?$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex PodName();

    // <id>, cri-containerd-<id>.scope, crio-<id>.scope, docker-<id>.scope; crio-conmon-<id>.scope is CRI-O's monitor.
    [GeneratedRegex("^(?:cri-containerd-|crio-|docker-|libpod-)?([0-9a-f]{64})(?:\\.scope)?$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex ContainerName();
}
