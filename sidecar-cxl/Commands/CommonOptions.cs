using System.CommandLine;

namespace Moebius.Cxl.Commands;

/// <summary>How a command prints.</summary>
internal enum OutputFormat
{
    /// <summary>For people.</summary>
    Text,

    /// <summary>For programs.</summary>
    Json,
}

/// <summary>Options that several commands have.</summary>
internal static class CommonOptions
{
    public static Option<OutputFormat> Output() => new("--output", "-o")
    {
        Description = "How to print: text or json.",
        DefaultValueFactory = _ => OutputFormat.Text,
    };

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
