using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>Asks the API server what it can do.</summary>
internal static class Discovery
{
    public static async Task<ServerCapabilities> AskAsync(ApiClient api, CancellationToken cancellationToken)
    {
        var version = await api.GetAsync("version", cancellationToken).ConfigureAwait(false);
        var apis = Groups(await api.GetAsync("apis", cancellationToken).ConfigureAwait(false)).Append("v1").ToHashSet();
        foreach (var group in ServerCapabilities.OptionalResources.GroupBy(resource => resource[..resource.LastIndexOf('/')]).Where(group => apis.Contains(group.Key)).ToList())
        {
            var plurals = await ResourcesAsync(api, group.Key, cancellationToken).ConfigureAwait(false);
            apis.UnionWith(group.Where(resource => plurals.Contains(resource[(resource.LastIndexOf('/') + 1)..])));
        }

        return new ServerCapabilities(ReadVersion(version), apis);
    }

    private static async Task<HashSet<string>> ResourcesAsync(ApiClient api, string groupVersion, CancellationToken cancellationToken)
    {
        try
        {
            var list = await api.GetAsync($"apis/{groupVersion}", cancellationToken).ConfigureAwait(false);
            return [.. (list["resources"] as JsonArray ?? []).Select(one => (string?)one?["name"]).OfType<string>()];
        }
        catch (ApiException error) when (error.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.ServiceUnavailable)
        {
            // A group whose definition is going, or whose server is down: not there now, and asked for again later.
            return [];
        }
    }

    private static Version ReadVersion(JsonObject version) => new(Number(version["major"]), Number(version["minor"]));

    private static IEnumerable<string> Groups(JsonObject groups) => (groups["groups"] as JsonArray ?? [])
        .SelectMany(group => group?["versions"] as JsonArray ?? [])
        .Select(one => (string?)one?["groupVersion"])
        .OfType<string>();

    // Some servers write a minor version such as "29+".
    private static int Number(JsonNode? node) =>
        int.TryParse(new string([.. ((string?)node ?? "").TakeWhile(char.IsAsciiDigit)]), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
}
