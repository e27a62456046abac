using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.Host;
using Moebius.Crds.Validation;

namespace Moebius.Cxl.Agent;

/// <summary>How the agent was started.</summary>
internal sealed record AgentOptions
{
    /// <summary>The profile's settings.</summary>
    public NodeAgentConfig Config { get; init; } = new() { Profile = "none" };

    /// <summary>Where sysfs is mounted.</summary>
    public string Sysfs { get; init; } = "/sys";

    /// <summary>Where procfs is mounted.</summary>
    public string Procfs { get; init; } = "/proc";

    /// <summary>The cgroup hierarchy; null to find it.</summary>
    public string? Cgroups { get; init; }

    /// <summary>Where the agent keeps what it must undo after it was killed.</summary>
    public string State { get; init; } = "/run/moebius";

    /// <summary>How long another agent on this machine may take to end before this one does without the weights.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Count and report the level that the node would work at; change nothing on the machine.</summary>
    public bool ReportOnly { get; init; }

    /// <summary>This node's name in the cluster; null outside of one: pods are then not looked up.</summary>
    public string? NodeName { get; init; }

    /// <summary>How to reach the cluster; null for the pod's own account, or the user's configuration.</summary>
    public string? Kubeconfig { get; init; }

    /// <summary>Cgroups listed in a report, busiest first.</summary>
    public int TopCgroups { get; init; } = 20;

    /// <summary>How log lines are written.</summary>
    public LogFormat LogFormat { get; init; }

    /// <summary>How often counters are read.</summary>
    public TimeSpan Interval => Durations.Parse(Config.Telemetry.Interval, "telemetry.interval");

    /// <summary>Reads and checks a configuration file.</summary>
    /// <exception cref="UserInputException">A field is unknown, missing or out of its bounds.</exception>
    public static NodeAgentConfig LoadConfig(string path)
    {
        var config = Manifests.LoadFile<NodeAgentConfig>(path);
        SpecCheck.Require(config, "", path);
        return config;
    }
}
