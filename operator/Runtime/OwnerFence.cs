using System.Net;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Whether the resource that a plan was made for, and what it refers to, are still what the API server has. Each kind is watched
/// apart, and so may a deposed leader or a late watch know a child of today and its owner of yesterday: the child's version would
/// let it write an old plan over a newer one. They are read once before the first change of a plan, after all children have been
/// looked at: what a newer plan has changed since then has another version, and refuses the older one.
/// </summary>
internal sealed class OwnerFence(ApiClient api, IKubernetesObject<V1ObjectMeta> owner, IReadOnlyList<IKubernetesObject<V1ObjectMeta>> madeOf)
{
    private bool _passed;

    /// <summary>Returns when the plan may be carried out.</summary>
    /// <exception cref="ApiException">409: it is out of date; the newer owner, or what it refers to, is on its way.</exception>
    public async Task PassAsync(CancellationToken cancellationToken)
    {
        if (_passed)
            return;
        Check(owner, Difference(await LiveAsync(owner, cancellationToken).ConfigureAwait(false)));
        foreach (var one in madeOf)
            Check(one, Difference(one, await LiveAsync(one, cancellationToken).ConfigureAwait(false)));
        _passed = true;
    }

    /// <summary>A child was read from the server after the owner was: its owner is read again.</summary>
    public void Renew() => _passed = false;

    private static void Check(IKubernetesObject<V1ObjectMeta> resource, string? difference)
    {
        if (difference is not null)
            throw new ApiException(HttpStatusCode.Conflict, "Conflict", $"{resource.Kind} {ObjectKey.Of(resource)} {difference}", []);
    }

    private async Task<JsonObject?> LiveAsync(IKubernetesObject<V1ObjectMeta> resource, CancellationToken cancellationToken)
    {
        try
        {
            return await api.GetAsync(ResourceType.Of(resource.GetType()).Item(ObjectKey.Of(resource)), cancellationToken).ConfigureAwait(false);
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    /// <summary>What plans are made of beside the spec does not raise the generation.</summary>
    private string? Difference(JsonObject? live)
    {
        if (Difference(owner, live) is { } difference)
            return difference;
        var metadata = live!["metadata"]!;
        if ((metadata["deletionTimestamp"] is null) != (owner.Metadata.DeletionTimestamp is null))
            return "is being deleted";
        return ((string?)metadata["annotations"]?[Labels.Paused] == "true") == Labels.IsPaused(owner) ? null : "has been paused or goes on";
    }

    private static string? Difference(IKubernetesObject<V1ObjectMeta> known, JsonObject? live)
    {
        if (live?["metadata"] is not JsonObject metadata || (string?)metadata["uid"] != known.Metadata.Uid)
            return "is gone";
        return (long?)metadata["generation"] == known.Metadata.Generation
            ? null
            : $"has generation {(long?)metadata["generation"]}, and {known.Metadata.Generation} was planned";
    }
}
