using System.CommandLine;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Moebius.Cli.Tests;

/// <summary>What the pages name is there: commands, their options, files and headings.</summary>
public sealed partial class DocumentationTests
{
    private static readonly string Root = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(ThisFile())!, "../.."));

    private static readonly Dictionary<string, string> Pages = new[] { "docs", "samples", "tests", "sidecar-cxl" }
        .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root, folder), "*.md", SearchOption.AllDirectories))
        .Concat(Directory.EnumerateFiles(Root, "*.md"))
        .Where(file => !file.Contains("/bin/", StringComparison.Ordinal) && !file.Contains("/obj/", StringComparison.Ordinal))
        .ToDictionary(file => Path.GetRelativePath(Root, file), File.ReadAllText);

    [Fact]
    public void Every_link_leads_to_a_file_and_a_heading()
    {
        var links = 0;
        foreach (var (page, text) in Pages)
        {
            foreach (Match link in Link().Matches(Fence().Replace(text, "")))
            {
                links++;
                var (path, anchor) = (link.Groups["path"].Value, link.Groups["anchor"].Value);
                var target = path.Length == 0 ? page : Path.GetRelativePath(Root, Path.GetFullPath(Path.Combine(Root, Path.GetDirectoryName(page)!, path)));
                Assert.True(Path.Exists(Path.Combine(Root, target)), $"{page}: {link.Value}: there is no {target}");
                if (anchor.Length > 0)
                    Assert.True(Headings(Pages[target]).Contains(anchor), $"{page}: {link.Value}: {target} has no such heading");
            }
        }

        Assert.True(links > 100, $"only {links} links were found");
    }

    [Fact]
    public void Every_command_line_is_one_that_the_program_takes()
    {
        var root = new RootCommand();
        foreach (var command in Commands.All())
            root.Add(command);
        var lines = 0;
        foreach (var (page, text) in Pages)
        {
            foreach (Match line in CommandLine().Matches(text.Replace("\\\n", " ", StringComparison.Ordinal)))
            {
                lines++;
                Command command = root;
                var words = line.Groups[1].Value.Split([' ', '[', ']', '(', ')', ','], StringSplitOptions.RemoveEmptyEntries);
                var verbs = words.TakeWhile(word => command.Subcommands.FirstOrDefault(one => one.Name == word) is { } next && (command = next) is not null).Count();
                Assert.True(verbs > 0 || words is ["--help" or "--version", ..], $"{page}: '{line.Value}' names no command");
                foreach (var option in words.Skip(verbs).Select(word => word.Split('=')[0]).Where(word => OptionName().IsMatch(word)))
                    Assert.True(command.Options.Concat(root.Options).Any(known => known.Name == option || known.Aliases.Contains(option)), $"{page}: '{line.Value}': {command.Name} has no {option}");
            }
        }

        Assert.True(lines > 30, $"only {lines} command lines were found");
    }

    /// <summary>Headings as links name them.</summary>
    private static HashSet<string> Headings(string text) =>
        [.. Heading().Matches(Fence().Replace(text, "")).Select(heading => NotInAnchors().Replace(heading.Groups[1].Value.ToLowerInvariant(), "").Replace(' ', '-'))];

    private static string ThisFile([CallerFilePath] string path = "") => path;

    [GeneratedRegex(@"\]\((?<path>[\w./-]*)(#(?<anchor>[\w-]+))?\)")]
    private static partial Regex Link();

    [GeneratedRegex("```.*?```", RegexOptions.Singleline)]
    private static partial Regex Fence();

    // On a line of its own or in a span; up to what a shell would end it at.
    [GeneratedRegex(@"(?:(?<=^|`)|(?<=\$ ))(?:bin/)?moebius ([a-z-][^`|;&>#\n]*)", RegexOptions.Multiline)]
    private static partial Regex CommandLine();

    [GeneratedRegex("^-{1,2}[a-z]")]
    private static partial Regex OptionName();

    [GeneratedRegex("^#+ (.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex NotInAnchors();
}
