using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.Profiles;

/// <summary>Plans the node agents of a MemorySchedulingProfile, in the operator's namespace.</summary>
public static class MemorySchedulingProfilePlanner
{
    private const string ConfigFile = "agent.yaml";
    private const string ContainerName = "agent";

    /// <summary>Plans ServiceAccount, ConfigMap and DaemonSet.</summary>
    /// <param name="profile">The profile.</param>
    /// <param name="others">All profiles of the cluster; the profile itself may be among them.</param>
    /// <param name="settings">The operator's settings.</param>
    /// <param name="server">What the API server can do.</param>
    public static Plan Plan(MemorySchedulingProfile profile, IEnumerable<MemorySchedulingProfile> others, OperatorSettings settings, ServerCapabilities server)
    {
        if (ProfileCheck.Errors(profile) is { Count: > 0 } errors)
            return Planning.Plan.Blocked([.. errors.Select(error => new Problem(Reasons.InvalidSpec, error, Blocks: true))], []);

        var stronger = ProfilePrecedence.Stronger(profile, others);
        if (stronger.FirstOrDefault(other => ProfilePrecedence.Covers(other.Spec.NodeSelector, profile.Spec.NodeSelector)) is { } covering)
        {
            // Agents that it made before the other one came to these nodes have to make room; a mistake in an edit of the
            // other one is no reason to stop them.
            return Overlapping($"spec.nodeSelector: every node that it selects belongs to the older profile '{covering.Metadata.Name}': select other nodes, or delete one of the two") with { Withdraws = ProfileCheck.Errors(covering).Count == 0 };
        }

        var (affinity, left) = ProfilePrecedence.Without(stronger, profile.Spec.NodeSelector);
        if (left.Count > 0)
        {
            return Overlapping($"spec.nodeSelector: nodes that also belong to the older profiles {Named(left)} would get two agents: too many profiles overlap to keep them apart; make their selectors exclude each other");
        }

        var name = profile.Metadata.Name;
        var child = new ChildBuilder(profile, Components.NodeAgent, settings.Namespace);
        var config = Manifests.ToYaml(new NodeAgentConfig
        {
            Profile = name,
            Workloads = profile.Spec.Workloads,
            Policy = profile.Spec.Policy,
            Fallback = profile.Spec.Fallback,
            Telemetry = profile.Spec.Telemetry,
        });
        return new Plan(
            [
                child.ServiceAccount(Names.NodeAgent(name)),
                child.ConfigMap(Names.NodeAgentConfig(name), new Dictionary<string, string> { [ConfigFile] = config }),
                DaemonSet(profile, child, config, affinity, settings, server),
            ],
            [],
            // Meant or not: whoever misses agents on a node finds here where they are.
            stronger.Count == 0 ? [] : [new(ConditionTypes.Overlaps, ConditionStatus.True, Reasons.ProfilesOverlap, $"nodes that an older profile selects, too, are that one's: {Named(stronger)}")]);
    }

    private static Plan Overlapping(string message) => Planning.Plan.Blocked([new Problem(Reasons.ProfilesOverlap, message, Blocks: true)], []);

    private static string Named(IEnumerable<MemorySchedulingProfile> profiles) => string.Join(", ", profiles.Select(other => $"'{other.Metadata.Name}'"));

    private static V1DaemonSet DaemonSet(MemorySchedulingProfile profile, ChildBuilder child, string config, V1NodeAffinity? affinity, OperatorSettings settings, ServerCapabilities server)
    {
        var name = Names.NodeAgent(profile.Metadata.Name);
        var agent = profile.Spec.Agent;
        var metadata = child.PodMetadata(config);
        if (!server.AppArmorField && agent.Privilege != AgentPrivilege.Privileged)
            metadata.Annotations["container.apparmor.security.beta.kubernetes.io/" + ContainerName] = "unconfined";
        return new V1DaemonSet
        {
            ApiVersion = "apps/v1",
            Kind = "DaemonSet",
            Metadata = child.Metadata(name),
            Spec = new V1DaemonSetSpec
            {
                Selector = new V1LabelSelector { MatchLabels = child.Selector() },
                UpdateStrategy = new V1DaemonSetUpdateStrategy { Type = "RollingUpdate", RollingUpdate = new V1RollingUpdateDaemonSet { MaxUnavailable = "10%" } },
                Template = new V1PodTemplateSpec
                {
                    Metadata = metadata,
                    Spec = new V1PodSpec
                    {
                        ServiceAccountName = name,
                        AutomountServiceAccountToken = true,
                        EnableServiceLinks = false,
                        ImagePullSecrets = Containers.PullSecrets(agent.ImagePullSecrets),
                        PriorityClassName = agent.PriorityClassName,
                        NodeSelector = profile.Spec.NodeSelector is { Count: > 0 } selector ? selector : null,
                        Affinity = affinity is null ? null : new V1Affinity { NodeAffinity = affinity },
                        Tolerations = agent.Tolerations is { Count: > 0 } tolerations ? tolerations : null,
                        TerminationGracePeriodSeconds = 30,
                        // The observer walks the tasks of its PID namespace.
                        HostPID = true,
                        SecurityContext = new V1PodSecurityContext { SeccompProfile = new V1SeccompProfile { Type = "RuntimeDefault" } },
                        Containers = [Agent(profile.Spec, settings, server)],
                        Volumes =
                        [
                            Containers.ConfigMapVolume("config", Names.NodeAgentConfig(profile.Metadata.Name)),
                            HostPath("sys", "/sys", "Directory"),
                            HostPath("cgroup", "/sys/fs/cgroup", "Directory"),
                            // What the agent must undo if it is killed; gone with a boot, as the weights are.
                            HostPath("state", PodPaths.Run, "DirectoryOrCreate"),
                        ],
                    },
                },
            },
        };
    }

    private static V1Container Agent(MemorySchedulingProfileSpec profile, OperatorSettings settings, ServerCapabilities server)
    {
        var agent = profile.Agent;
        List<string> args =
        [
            "cxl",
            "agent",
            $"--config={PodPaths.Config}/{ConfigFile}",
            "--sysfs=/sys",
            "--cgroups=/sys/fs/cgroup",
            $"--listen=0.0.0.0:{agent.Port}",
        ];
        List<V1VolumeMount> mounts =
        [
            Containers.Mount("config", PodPaths.Config, readOnly: true),
            // Interleave weights are written there, by every strategy but one: others fall back to them.
            Containers.Mount("sys", "/sys", readOnly: profile.Policy.Strategy == MemoryStrategy.Observe),
            Containers.Mount("cgroup", "/sys/fs/cgroup", readOnly: true),
            Containers.Mount("state", PodPaths.Run, readOnly: false),
        ];
        var container = Containers.Moebius(ContainerName, agent.Image ?? settings.ImageOf(Components.NodeAgent), agent.ImagePullPolicy, args, agent.Resources, mounts).Serving("http", agent.Port, settings);
        container.Env.Insert(0, new V1EnvVar { Name = ContainerVariables.NodeName, ValueFrom = new V1EnvVarSource { FieldRef = new V1ObjectFieldSelector { ApiVersion = "v1", FieldPath = "spec.nodeName" } } });
        container.SecurityContext = Security(agent.Privilege, server);
        return container;
    }

    /// <summary>
    /// Three capabilities are what the kernel asks for. The runtimes' default seccomp profiles know them only in newer
    /// versions and ask for CAP_SYS_ADMIN before, and their AppArmor profile forbids writing interleave weights: leaving
    /// both out gives the container far less than that capability would.
    /// </summary>
    private static V1SecurityContext Security(AgentPrivilege privilege, ServerCapabilities server) => privilege == AgentPrivilege.Privileged
        ? new V1SecurityContext { Privileged = true, RunAsUser = 0, ReadOnlyRootFilesystem = true }
        : new V1SecurityContext
        {
            AllowPrivilegeEscalation = false,
            ReadOnlyRootFilesystem = true,
            RunAsUser = 0,
            Capabilities = new V1Capabilities { Drop = ["ALL"], Add = ["BPF", "PERFMON", "SYS_NICE"] },
            SeccompProfile = new V1SeccompProfile { Type = "Unconfined" },
            AppArmorProfile = server.AppArmorField ? new V1AppArmorProfile { Type = "Unconfined" } : null,
        };

    private static V1Volume HostPath(string name, string path, string type) =>
        new() { Name = name, HostPath = new V1HostPathVolumeSource { Path = path, Type = type } };
}
