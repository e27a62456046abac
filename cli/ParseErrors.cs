using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;

namespace Moebius.Cli;

/// <summary>What is wrong with a command line, in one line.</summary>
internal static partial class ParseErrors
{
    /// <summary>The error that says most, and where the help for it is; null for a command line that can be run.</summary>
    /// <param name="parsed">A command line.</param>
    public static string? Find(ParseResult parsed)
    {
        // What a script's unset variable leaves: no option and no argument means anything by it.
        if (parsed.Errors.Count == 0)
            return parsed.CommandResult.Children.FirstOrDefault(child => child.Tokens.Any(token => token.Value.Length == 0)) is { } empty
                ? $"{(empty is ArgumentResult argument ? argument.Argument.Name : ((OptionResult)empty).Option.Name)}: is empty: give a value, or leave it out (see '{Path(parsed.CommandResult)} --help')"
                : null;
        // A word that is no command is reported after the command that is missing because of it, and says more.
        var error = parsed.Errors.FirstOrDefault(candidate => candidate.Message.StartsWith("Unrecognized", StringComparison.Ordinal)) ?? parsed.Errors[0];
        return $"{WithoutTypeNames(error.Message)} (see '{Path(parsed.CommandResult)} --help')";
    }

    private static string Path(CommandResult result)
    {
        var names = new Stack<string>();
        for (SymbolResult? at = result; at is CommandResult command; at = at.Parent)
            names.Push(at.Parent is null ? "moebius" : command.Command.Name);
        return string.Join(' ', names);
    }

    private static string WithoutTypeNames(string message) => TypeName().Replace(message, match => match.Groups["type"].Value switch
    {
        "Int32" or "Int64" => ": an integer is expected",
        "Double" or "Single" or "Decimal" => ": a number is expected",
        "Boolean" => ": true or false is expected",
        _ => "",
    });

    [GeneratedRegex(@" as expected type '(System\.Nullable`1\[)?System\.(?<type>\w+)\]?'")]
    private static partial Regex TypeName();
}
