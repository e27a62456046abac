using System.Text.Json.Nodes;

namespace Moebius.KubernetesEnvironment;

/// <content>Single objects, read and created without a process.</content>
public partial class KubernetesTestServer
{
    /// <summary>
    /// Reads fields as the administrator, as <c>kubectl get -o jsonpath</c> does and prints them, but without a process: a look costs
    /// a hundredth of it.
    /// </summary>
    /// <param name="namespace">The namespace.</param>
    /// <param name="what">A resource, or an object: <c>jobs</c>, <c>deployment/austen</c>.</param>
    /// <param name="template">Paths in braces: <c>{.spec.replicas} {.status.conditions[?(@.type=='Ready')].status}</c>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Empty when there is no such object or resource.</returns>
    public async Task<string> ReadAsync(string @namespace, string what, string template, CancellationToken cancellationToken = default) =>
        await FindAsync(@namespace, what, cancellationToken).ConfigureAwait(false) is { } found ? FieldPath.Print(template, found) : "";

    /// <summary>Reads an object or a list as the administrator; see <see cref="ReadAsync"/>.</summary>
    /// <param name="namespace">The namespace; empty for a list of all.</param>
    /// <param name="what">A resource, or an object: <c>jobs</c>, <c>deployment/austen</c>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Null when there is no such object or resource.</returns>
    public async Task<JsonNode?> FindAsync(string @namespace, string what, CancellationToken cancellationToken = default) =>
        await Usable(_paths).OfAsync(@namespace, what, cancellationToken).ConfigureAwait(false) is { } path ? await Api.FindAsync(path, cancellationToken).ConfigureAwait(false) : null;

    /// <summary>Creates an object as the administrator, again without a process. A field that the server does not know is refused.</summary>
    /// <param name="namespace">The namespace.</param>
    /// <param name="manifest">The object.</param>
    /// <param name="dryRun">Whether it is checked only.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Why the server refuses it; null when it does not.</returns>
    public async Task<string?> CreateAsync(string @namespace, JsonObject manifest, bool dryRun = false, CancellationToken cancellationToken = default)
    {
        var kind = (string)manifest["kind"]!;
        var path = await Usable(_paths).OfAsync(@namespace, kind.ToLowerInvariant(), cancellationToken).ConfigureAwait(false) ?? throw new ArgumentException($"the server has no {kind}", nameof(manifest));
        return await Api.CreateAsync($"{path}?fieldValidation=Strict{(dryRun ? "&dryRun=All" : "")}", manifest.ToJsonString(), cancellationToken).ConfigureAwait(false);
    }
}
