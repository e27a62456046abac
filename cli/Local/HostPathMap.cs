using Moebius.Crds;

namespace Moebius.Cli.Local;

/// <summary>Where hostPath volumes are on this machine, which need not have a node's directories.</summary>
/// <param name="entries">The longest first: it says most about what lies below it.</param>
internal sealed class HostPathMap(IReadOnlyList<(string From, string To)> entries)
{
    public static HostPathMap Parse(IEnumerable<string> texts)
    {
        var entries = texts.Select(text => text.Split('=', 2) is [['/', ..] from, { Length: > 0 } to]
            ? (From: from.TrimEnd('/'), To: Path.GetFullPath(to))
            : throw new UserInputException($"--host-path: '{text}': write an absolute path on the node, '=', and a directory here")).ToList();
        return entries.GroupBy(entry => entry.From).FirstOrDefault(group => group.Count() > 1) is { } twice
            ? throw new UserInputException($"--host-path: '{twice.Key}' is given {twice.Count()} times: give it one directory")
            : new HostPathMap([.. entries.OrderByDescending(entry => entry.From.Length)]);
    }

    public string Resolve(string path)
    {
        var trimmed = path.TrimEnd('/');
        foreach (var (from, to) in entries)
        {
            if (trimmed == from || trimmed.StartsWith(from + "/", StringComparison.Ordinal))
                return to + trimmed[from.Length..];
        }

        return path;
    }
}
