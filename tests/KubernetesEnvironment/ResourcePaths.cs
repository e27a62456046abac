using System.Text.Json.Nodes;

namespace Moebius.KubernetesEnvironment;

/// <summary>Where the server keeps an object that is named as kubectl names it: <c>moe/austen</c>, <c>jobs</c>, <c>podmonitors.monitoring.coreos.com/a</c>.</summary>
/// <param name="api">The server, which says what there is.</param>
internal sealed class ResourcePaths(ApiConnection api)
{
    private Dictionary<string, (string Folder, string Plural, bool Namespaced)> _known = [];

    /// <summary>The path of an object, or of a list; null when the server has no such resource.</summary>
    /// <param name="namespace">Whose object, of a kind that has namespaces; empty for a list of all.</param>
    /// <param name="what">A plural, singular or short name, then a slash and an object's name for one object.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<string?> OfAsync(string @namespace, string what, CancellationToken cancellationToken)
    {
        var (resource, name) = what.Split('/') is [var first, var second] ? (first, "/" + second) : (what, "");
        if (!_known.ContainsKey(resource))
            _known = await DiscoverAsync(cancellationToken).ConfigureAwait(false);
        if (!_known.TryGetValue(resource, out var found))
            return null;
        return found.Namespaced && @namespace.Length > 0 ? $"{found.Folder}/namespaces/{@namespace}/{found.Plural}{name}" : $"{found.Folder}/{found.Plural}{name}";
    }

    private async Task<Dictionary<string, (string Folder, string Plural, bool Namespaced)>> DiscoverAsync(CancellationToken cancellationToken)
    {
        var known = new Dictionary<string, (string Folder, string Plural, bool Namespaced)>();
        var groups = (await api.FindAsync("apis", cancellationToken).ConfigureAwait(false))?["groups"]?.AsArray() ?? [];
        // Of two groups that have a name the first is meant, and the core before all.
        var folders = groups.Select(group => (Group: (string)group!["name"]!, Folder: "apis/" + (string)group["preferredVersion"]!["groupVersion"]!)).Prepend((Group: "", Folder: "api/v1"));
        foreach (var (group, folder) in folders)
        {
            foreach (var resource in (await api.FindAsync(folder, cancellationToken).ConfigureAwait(false))?["resources"]?.AsArray() ?? [])
            {
                var plural = (string)resource!["name"]!;
                if (plural.Contains('/', StringComparison.Ordinal))
                    continue;
                foreach (var name in Names(resource, plural, group))
                    known.TryAdd(name, (folder, plural, (bool)resource["namespaced"]!));
            }
        }

        return known;
    }

    /// <summary>An old server leaves the singular empty: it is the kind's name in small letters.</summary>
    private static IEnumerable<string> Names(JsonNode resource, string plural, string group) =>
    [
        plural,
        $"{plural}.{group}",
        ((string)resource["kind"]!).ToLowerInvariant(),
        .. resource["shortNames"]?.AsArray().Select(name => (string)name!) ?? [],
    ];
}
