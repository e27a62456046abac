using System.Net;
using System.Text.Json.Nodes;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Who owns which fields of a child. Creating costs the API server less than applying, but makes the operator an updater of
/// all fields and of the server's defaults, and an apply drops only what an applier owns. So before the first apply the
/// updater's fields become the applier's, as kubectl does for objects that client-side apply has made.
/// </summary>
internal static class FieldOwnership
{
    private const string Applier = "Apply";

    /// <summary>Makes the fields of the operator as an updater its fields as an applier, where there are any.</summary>
    /// <param name="api">The API server.</param>
    /// <param name="path">The object.</param>
    /// <param name="resourceVersion">The version that was looked at: fails with 409 when there is another one, or none any more.</param>
    /// <param name="cancellationToken">Stops.</param>
    /// <returns>The version to go on with.</returns>
    public static async Task<string> BecomeApplierAsync(ApiClient api, string path, string resourceVersion, CancellationToken cancellationToken)
    {
        var live = await LiveAsync(api, path, cancellationToken).ConfigureAwait(false);
        if (live["metadata"]?["managedFields"] is not JsonArray managers || AsApplier(managers, Labels.Manager) is not { } changed)
            return resourceVersion;
        var patch = new JsonObject { ["metadata"] = new JsonObject { ["resourceVersion"] = resourceVersion, ["managedFields"] = changed } };
        var answer = await api.MergeAsync(path, patch, cancellationToken).ConfigureAwait(false);
        return (string)answer["metadata"]!["resourceVersion"]!;
    }

    private static async Task<JsonObject> LiveAsync(ApiClient api, string path, CancellationToken cancellationToken)
    {
        try
        {
            return await api.GetAsync(path, cancellationToken).ConfigureAwait(false);
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.NotFound)
        {
            throw new ApiException(HttpStatusCode.Conflict, "Conflict", $"{path} was there and is gone", []);
        }
    }

    /// <summary>The list in which a manager's fields are all those of an applier; null when they are already.</summary>
    internal static JsonArray? AsApplier(JsonArray managers, string manager)
    {
        var own = managers.OfType<JsonObject>().Where(entry => (string?)entry["manager"] == manager && string.IsNullOrEmpty((string?)entry["subresource"])).ToList();
        if (own.All(entry => (string?)entry["operation"] == Applier))
            return null;
        return
        [
            .. managers.Where(entry => entry is not JsonObject one || !own.Contains(one)).Select(entry => entry?.DeepClone()),
            .. own.GroupBy(entry => (string?)entry["apiVersion"]).Select(Applied),
        ];
    }

    private static JsonObject Applied(IEnumerable<JsonObject> entries)
    {
        var fields = new JsonObject();
        foreach (var entry in entries)
            Unite(fields, entry["fieldsV1"] as JsonObject ?? []);
        var applied = (JsonObject)entries.Last().DeepClone();
        applied["operation"] = Applier;
        applied["fieldsV1"] = fields;
        return applied;
    }

    // Fields are a tree whose leaves are empty objects.
    private static void Unite(JsonObject fields, JsonObject more)
    {
        foreach (var (name, below) in more)
        {
            if (fields[name] is JsonObject known && below is JsonObject additional)
                Unite(known, additional);
            else
                fields[name] = below?.DeepClone();
        }
    }
}
