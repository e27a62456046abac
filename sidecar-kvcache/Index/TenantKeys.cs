using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace Moebius.KvCache.Index;

/// <summary>Makes tenants' keys of their names. Each thread keeps the state of the HMAC: to set it up takes longer than to use it.</summary>
/// <param name="salt">Secret.</param>
internal sealed class TenantKeys(byte[] salt) : IDisposable
{
    private readonly ThreadLocal<IncrementalHash> _hash = new(() => IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, salt));

    /// <param name="tenant">The name in UTF-8.</param>
    /// <param name="anonymous">The name stands for one request only.</param>
    [SkipLocalsInit]
    public TenantKey Derive(ReadOnlySpan<byte> tenant, bool anonymous)
    {
        var hash = _hash.Value!;
        var kind = anonymous ? "anonymous:"u8 : "tenant:"u8;
        Span<byte> joined = stackalloc byte[256];
        if (kind.Length + tenant.Length <= joined.Length)
        {
            // Each call into the library costs as much as the hash of a name.
            kind.CopyTo(joined);
            tenant.CopyTo(joined[kind.Length..]);
            hash.AppendData(joined[..(kind.Length + tenant.Length)]);
        }
        else
        {
            hash.AppendData(kind);
            hash.AppendData(tenant);
        }

        Span<byte> digest = stackalloc byte[HMACSHA256.HashSizeInBytes];
        hash.GetHashAndReset(digest);
        return new TenantKey(BinaryPrimitives.ReadUInt64LittleEndian(digest), BinaryPrimitives.ReadUInt64LittleEndian(digest[8..]));
    }

    // What the threads keep is finalised with them: to know all of it would keep that of threads which have ended.
    public void Dispose() => _hash.Dispose();
}
