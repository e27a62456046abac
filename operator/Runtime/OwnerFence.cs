using System.Net;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Whether the resource that a plan was made for is still what the API server has. Each kind is watched apart, and so may a
/// deposed leader or a late watch know a child of today and its owner of yesterday: the child's version would let it write
/// an old plan over a newer one. The owner is read once before the first change of a plan, after all children have been
/// looked at: what a newer plan has changed since then has another version, and refuses the older one.
/// </summary>
internal sealed class OwnerFence(ApiClient api, IKubernetesObject<V1ObjectMeta> owner)
{
    private bool _passed;

    /// <summary>Returns when the plan may be carried out.</summary>
    /// <exception cref="ApiException">409: it is out of date; the newer owner is on its way.</exception>
    public async Task PassAsync(CancellationToken cancellationToken)
    {
        if (_passed)
            return;
        if (Difference(await LiveAsync(cancellationToken).ConfigureAwait(false)) is { } difference)
            throw new ApiException(HttpStatusCode.Conflict, "Conflict", $"{owner.Kind} {ObjectKey.Of(owner)} {difference}", []);
        _passed = true;
    }

    /// <summary>A child was read from the server after the owner was: its owner is read again.</summary>
    public void Renew() => _passed = false;

    private async Task<JsonObject?> LiveAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await api.GetAsync(ResourceType.Of(owner.GetType()).Item(ObjectKey.Of(owner)), cancellationToken).ConfigureAwait(false);
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    /// <summary>What plans are made of beside the spec does not raise the generation.</summary>
    private string? Difference(JsonObject? live)
    {
        if (live?["metadata"] is not JsonObject metadata || (string?)metadata["uid"] != owner.Metadata.Uid)
            return "is gone";
        if ((long?)metadata["generation"] != owner.Metadata.Generation)
            return $"has generation {(long?)metadata["generation"]}, and {owner.Metadata.Generation} was planned";
        if ((metadata["deletionTimestamp"] is null) != (owner.Metadata.DeletionTimestamp is null))
            return "is being deleted";
        return ((string?)metadata["annotations"]?[Labels.Paused] == "true") == Labels.IsPaused(owner) ? null : "has been paused or goes on";
    }
}
