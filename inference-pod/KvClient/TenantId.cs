namespace Moebius.Inference.KvClient;

/// <summary>Whose request it is, as far as cached state is concerned.</summary>
/// <param name="Name">The gateway's name for the tenant, or a fresh random one for an anonymous request.</param>
/// <param name="Anonymous">True when nobody said who it is: private state of such a request is never found again.</param>
internal sealed record TenantId(string Name, bool Anonymous)
{
    /// <summary>A tenant of one request.</summary>
    public static TenantId NewAnonymous() => new(Guid.NewGuid().ToString("N"), true);
}
