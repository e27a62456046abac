using System.CommandLine;

namespace Moebius.Crds;

/// <summary>The option <c>--output</c> of commands that print for people or for programs.</summary>
public sealed class OutputFormat : Option<string>
{
    /// <summary>Makes the option; without it a command prints text.</summary>
    public OutputFormat()
        : base("--output", "-o")
    {
        Description = "text or json.";
        HelpName = "FORMAT";
        DefaultValueFactory = _ => "text";
        CompletionSources.Add("text", "json");
    }

    /// <summary>Whether a command is to print for programs.</summary>
    /// <param name="parsed">The command line.</param>
    /// <exception cref="UserInputException">It is neither of the two.</exception>
    public bool IsJson(ParseResult parsed) => parsed.GetRequiredValue(this) switch
    {
        "text" => false,
        "json" => true,
        var other => throw new UserInputException($"--output {other}: must be text or json"),
    };
}
