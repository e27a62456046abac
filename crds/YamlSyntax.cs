using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Moebius.Crds;

/// <summary>
/// Looks through a YAML text before the library makes a tree of it: finds what it goes too deep for, what it fails at
/// without an error of its own, and the lines of errors for which it names the first.
/// </summary>
internal static class YamlSyntax
{
    /// <summary>Deepest nesting, which is also that of <see cref="System.Text.Json.JsonSerializer"/>.</summary>
    public const int Deepest = 64;

    /// <summary>Events around a document, which count as nesting.</summary>
    private const int DocumentNesting = 2;

    /// <param name="yaml">The text.</param>
    /// <param name="source">File name, for messages.</param>
    /// <exception cref="UserInputException">Not YAML, or nested too deep; the message names the line.</exception>
    public static void Check(string yaml, string source)
    {
        var parser = new Parser(new StringReader(yaml));
        var anchors = new HashSet<AnchorName>();
        try
        {
            // The library goes into nested values by recursion: what is too deep must not reach it.
            for (var depth = 0; parser.MoveNext();)
            {
                depth += parser.Current!.NestingIncrease;
                if (depth > Deepest + DocumentNesting)
                    throw TooDeep(source, parser.Current.Start.Line);
                if (parser.Current is DocumentStart)
                    anchors.Clear();
                else if (parser.Current is NodeEvent { Anchor.IsEmpty: false } node)
                    anchors.Add(node.Anchor);
                else if (parser.Current is AnchorAlias alias && !anchors.Contains(alias.Value))
                    throw Invalid(source, alias.Start.Line, $"The anchor '{alias.Value}' does not exist: write &{alias.Value} before what it stands for");
            }
        }
        catch (YamlException error)
        {
            var line = error.Message.Contains("tab", StringComparison.Ordinal) ? TabFrom(yaml, parser.Current?.End.Line ?? 1) : null;
            throw Invalid(source, line ?? error.Start.Line, error.InnerException?.Message ?? error.Message, error);
        }
        catch (InvalidOperationException error)
        {
            throw Invalid(source, parser.Current?.End.Line ?? 1, "what follows cannot be read: is there a '[' or '{' that is not closed?", error);
        }
    }

    public static UserInputException TooDeep(string source, long line) =>
        new($"{source}: line {line}: nested more than {Deepest} deep, or an alias that stands for what it is in: write it flatter");

    public static UserInputException Invalid(string source, long line, string why) => new($"{source}: line {line}: not valid YAML: {why}");

    public static UserInputException Invalid(string source, long line, string why, Exception error) => new($"{source}: line {line}: not valid YAML: {why}", error);

    /// <summary>The first line, from one on, that has a tab among the blanks it begins with.</summary>
    private static long? TabFrom(string yaml, long first)
    {
        var lines = yaml.ReplaceLineEndings("\n").Split('\n');
        for (var line = first; line <= lines.Length; line++)
        {
            var text = lines[line - 1];
            if (text[..^text.TrimStart().Length].Contains('\t'))
                return line;
        }

        return null;
    }
}
