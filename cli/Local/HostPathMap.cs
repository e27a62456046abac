using Moebius.Crds;

namespace Moebius.Cli.Local;

/// <summary>Where hostPath volumes are on this machine, which need not have a node's directories.</summary>
internal sealed class HostPathMap(IReadOnlyList<(string From, string To)> entries)
{
    public static HostPathMap Parse(IEnumerable<string> texts) => new([.. texts.Select(text =>
        text.Split('=', 2) is [['/', ..] from, { Length: > 0 } to]
            ? (from.TrimEnd('/'), Path.GetFullPath(to))
            : throw new UserInputException($"--host-path: '{text}': write an absolute path on the node, '=', and a directory here"))]);

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
