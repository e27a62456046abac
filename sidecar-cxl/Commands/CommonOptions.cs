using System.CommandLine;
using Moebius.Crds;

namespace Moebius.Cxl.Commands;

/// <summary>Options that several commands have.</summary>
internal static class CommonOptions
{
    /// <summary>Read with <see cref="IsJson"/>.</summary>
    public static Option<string> Output() => new("--output", "-o")
    {
        Description = "text or json.",
        DefaultValueFactory = _ => "text",
    };

    /// <summary>Whether a command prints for programs and not for people.</summary>
    /// <exception cref="UserInputException">It is neither.</exception>
    public static bool IsJson(ParseResult parse, Option<string> output) => parse.GetRequiredValue(output) switch
    {
        "text" => false,
        "json" => true,
        var other => throw new UserInputException($"--output {other}: must be text or json"),
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
