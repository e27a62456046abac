using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Moebius.KvCache.Index;

/// <summary>
/// The visibility domain of a private block: 128 bits of HMAC-SHA-256 over the tenant's name under a salt that lives and
/// dies with the process. Names are not kept, and anonymous identities can never meet named ones.
/// </summary>
internal readonly record struct TenantKey(ulong High, ulong Low)
{
    public static TenantKey Derive(ReadOnlySpan<byte> salt, string tenant, bool anonymous)
    {
        var name = Encoding.UTF8.GetBytes((anonymous ? "anonymous:" : "tenant:") + tenant);
        Span<byte> digest = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(salt, name, digest);
        return new TenantKey(BinaryPrimitives.ReadUInt64LittleEndian(digest), BinaryPrimitives.ReadUInt64LittleEndian(digest[8..]));
    }
}
