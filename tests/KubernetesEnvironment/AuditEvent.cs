namespace Moebius.KubernetesEnvironment;

/// <summary>One request that the API server answered, from its audit log.</summary>
/// <param name="Received">When the server received it.</param>
/// <param name="Verb">The API verb: get, list, watch, create, update, patch, delete, deletecollection.</param>
/// <param name="RequestUri">Path and query as sent.</param>
/// <param name="User">Who sent it.</param>
/// <param name="UserAgent">The client's User-Agent header; empty when it sent none.</param>
/// <param name="ApiGroup">The resource's group; empty for the core group and for paths that are no resource.</param>
/// <param name="Resource">The resource's plural name, such as <c>configmaps</c>; empty for other paths.</param>
/// <param name="Subresource">Such as <c>status</c>; empty for the resource itself.</param>
/// <param name="Namespace">Empty for cluster-scoped resources.</param>
/// <param name="Name">The object's name; empty for lists and for a create.</param>
/// <param name="StatusCode">The HTTP status of the answer.</param>
public sealed record AuditEvent(
    DateTimeOffset Received,
    string Verb,
    string RequestUri,
    string User,
    string UserAgent,
    string ApiGroup,
    string Resource,
    string Subresource,
    string Namespace,
    string Name,
    int StatusCode)
{
    /// <summary>Whether the verb changes something; refused requests and dry runs count too.</summary>
    public bool IsWrite => Verb is "create" or "update" or "patch" or "delete" or "deletecollection";

    /// <inheritdoc/>
    public override string ToString() => $"{Verb} {RequestUri} by {User} ({UserAgent}): {StatusCode}";
}

/// <summary>A moment in the audit log, from which events are read.</summary>
/// <param name="Offset">Where to begin in the log file, in bytes.</param>
/// <param name="Received">When the server received the request that marks; it is logged somewhere after the offset.</param>
public readonly record struct AuditMark(long Offset, DateTimeOffset Received);
