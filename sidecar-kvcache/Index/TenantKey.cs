namespace Moebius.KvCache.Index;

/// <summary>
/// The visibility domain of a private block: 128 bits of HMAC-SHA-256 over the tenant's name under a salt that lives and
/// dies with the process. Names are not kept, and anonymous identities can never meet named ones.
/// </summary>
internal readonly record struct TenantKey(ulong High, ulong Low);
