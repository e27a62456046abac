using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace Moebius.KvCache.Index;

/// <summary>
/// The visibility domain of a private block: 128 bits of HMAC-SHA-256 over the tenant's name under a salt that lives and
/// dies with the process. Names are not kept, and anonymous identities can never meet named ones.
/// </summary>
internal readonly record struct TenantKey(ulong High, ulong Low)
{
    /// <param name="salt">Secret.</param>
    /// <param name="tenant">The name in UTF-8.</param>
    /// <param name="anonymous">The name stands for one request only.</param>
    [SkipLocalsInit]
    public static TenantKey Derive(ReadOnlySpan<byte> salt, ReadOnlySpan<byte> tenant, bool anonymous)
    {
        var prefix = anonymous ? "anonymous:"u8 : "tenant:"u8;
        Span<byte> name = stackalloc byte[256];
        if (prefix.Length + tenant.Length > name.Length)
            name = new byte[prefix.Length + tenant.Length];
        prefix.CopyTo(name);
        tenant.CopyTo(name[prefix.Length..]);
        Span<byte> digest = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(salt, name[..(prefix.Length + tenant.Length)], digest);
        return new TenantKey(BinaryPrimitives.ReadUInt64LittleEndian(digest), BinaryPrimitives.ReadUInt64LittleEndian(digest[8..]));
    }
}
