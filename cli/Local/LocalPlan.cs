using k8s.Models;

namespace Moebius.Cli.Local;

// What will run on this machine: pods as sets of processes. All of it is decided before anything is started.

/// <summary>Everything that one `local up` starts.</summary>
internal sealed record LocalPlan(IReadOnlyList<LocalPod> Pods, IReadOnlyList<string> Notes);

/// <summary>A pod: its volumes and its containers in starting order.</summary>
internal sealed record LocalPod(string Name, IReadOnlyList<LocalVolume> Volumes, IReadOnlyList<LocalContainer> Containers)
{
    public TimeSpan GracePeriod { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>A directory that stands for a volume.</summary>
/// <param name="Name">The volume's name in the pod.</param>
/// <param name="Directory">Where it is on this machine.</param>
/// <param name="Owned">Made at the start and removed at the end; false for a directory that was there before.</param>
/// <param name="Files">Files to write into it, by name.</param>
internal sealed record LocalVolume(string Name, string Directory, bool Owned, IReadOnlyDictionary<string, byte[]> Files);

/// <summary>A container as a process.</summary>
/// <param name="Name">The container's name.</param>
/// <param name="Arguments">Arguments after the program itself.</param>
/// <param name="Environment">Variables added to the runner's own.</param>
/// <param name="Ports">Ports by name, on the loopback address.</param>
internal sealed record LocalContainer(
    string Name,
    IReadOnlyList<string> Arguments,
    IReadOnlyDictionary<string, string> Environment,
    IReadOnlyDictionary<string, int> Ports)
{
    /// <summary>An init container that must end before the next starts (not a native sidecar).</summary>
    public bool RunsToCompletion { get; init; }

    /// <summary>URL that answers 2xx once the container has started.</summary>
    public Uri? Startup { get; init; }

    /// <summary>URL that answers 2xx while the container can serve.</summary>
    public Uri? Readiness { get; init; }
}

/// <summary>The objects that a plan is made of.</summary>
/// <param name="Workloads">Name and template of every Deployment and DaemonSet.</param>
/// <param name="ConfigMaps">By name.</param>
/// <param name="Secrets">By name.</param>
/// <param name="Services">All of them.</param>
internal sealed record LocalObjects(
    IReadOnlyList<(string Name, string Namespace, V1PodTemplateSpec Template)> Workloads,
    IReadOnlyDictionary<string, V1ConfigMap> ConfigMaps,
    IReadOnlyDictionary<string, V1Secret> Secrets,
    IReadOnlyList<V1Service> Services);
