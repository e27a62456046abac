using System.CommandLine;

namespace Moebius.Cxl.Commands;

/// <summary>Options that several commands have.</summary>
internal static class CommonOptions
{
    public static Option<string> Sysfs() => new("--sysfs")
    {
        Description = "Where sysfs is mounted.",
        DefaultValueFactory = _ => "/sys",
    };

    public static Option<string> State() => new("--state")
    {
        Description = "Where the agent keeps the interleave weights that it found, to put them back even after it was killed.",
        DefaultValueFactory = _ => "/run/moebius",
    };
}
