using Moebius.Crds;
using Moebius.Crds.Config;

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

    /// <summary>This node's name in the cluster; null outside of one: pods are then not looked up.</summary>
    public string? NodeName { get; init; }

    /// <summary>How to reach the cluster; null for the pod's own account, or the user's configuration.</summary>
    public string? Kubeconfig { get; init; }

    /// <summary>Cgroups listed in a report, busiest first.</summary>
    public int TopCgroups { get; init; } = 20;

    /// <summary>How often counters are read.</summary>
    public TimeSpan Interval => Durations.Parse(Config.Telemetry.Interval, "telemetry.interval");

    /// <summary>Reads and checks a configuration file.</summary>
    /// <exception cref="UserInputException">A field is unknown, missing or out of its bounds.</exception>
    public static NodeAgentConfig LoadConfig(string path)
    {
        var config = Manifests.LoadFile<NodeAgentConfig>(path);
        var interval = Durations.Parse(config.Telemetry.Interval, $"{path}: telemetry.interval");
        if (interval < TimeSpan.FromMilliseconds(100) || interval > TimeSpan.FromHours(24))
            throw new UserInputException($"{path}: telemetry.interval: '{config.Telemetry.Interval}' must be 100ms to 24h");
        if (Durations.Parse(config.Policy.AgingLimit, $"{path}: policy.agingLimit") < TimeSpan.FromMilliseconds(1))
            throw new UserInputException($"{path}: policy.agingLimit: '{config.Policy.AgingLimit}' is too short: 1ms or longer");
        Percent(config.Policy.ReaderAbovePercent, 50, 100, "readerAbovePercent");
        Percent(config.Policy.WriterBelowPercent, 0, 50, "writerBelowPercent");
        Percent(config.Policy.TargetReadPercent, 1, 99, "targetReadPercent");
        foreach (var weight in config.Policy.InterleaveWeights ?? [])
        {
            if (weight.Weight is < 1 or > 255)
                throw new UserInputException($"{path}: policy.interleaveWeights: node {weight.Node}: weight {weight.Weight} is outside 1 to 255");
            if (weight.Node is < 0 or > 1023)
                throw new UserInputException($"{path}: policy.interleaveWeights: node {weight.Node} is outside 0 to 1023");
        }

        if ((config.Policy.InterleaveWeights ?? []).GroupBy(weight => weight.Node).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new UserInputException($"{path}: policy.interleaveWeights: node {twice.Key} is there {twice.Count()} times, expected once");
        return config;

        void Percent(int value, int minimum, int maximum, string field)
        {
            if (value < minimum || value > maximum)
                throw new UserInputException($"{path}: policy.{field}: {value} is outside {minimum} to {maximum}");
        }
    }
}
