using System.Globalization;
using System.Text.Json.Nodes;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>Asks the API server what it can do.</summary>
internal static class Discovery
{
    public static async Task<ServerCapabilities> AskAsync(ApiClient api, CancellationToken cancellationToken)
    {
        var version = await api.GetAsync("version", cancellationToken).ConfigureAwait(false);
        var groups = await api.GetAsync("apis", cancellationToken).ConfigureAwait(false);
        return Read(version, groups);
    }

    /// <summary>Reads the answers of <c>/version</c> and <c>/apis</c>.</summary>
    internal static ServerCapabilities Read(JsonObject version, JsonObject groups) => new(
        new Version(Number(version["major"]), Number(version["minor"])),
        (groups["groups"] as JsonArray ?? [])
            .SelectMany(group => group?["versions"] as JsonArray ?? [])
            .Select(one => (string?)one?["groupVersion"])
            .OfType<string>()
            .Append("v1"));

    // Some servers write a minor version such as "29+".
    private static int Number(JsonNode? node) =>
        int.TryParse(new string([.. ((string?)node ?? "").TakeWhile(char.IsAsciiDigit)]), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
}
