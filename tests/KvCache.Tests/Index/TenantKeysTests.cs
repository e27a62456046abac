using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using FsCheck;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tests.Index;

public sealed class TenantKeysTests
{
    [Property(MaxTest = 100)]
    public void A_key_is_the_beginning_of_an_hmac_and_calls_do_not_mix(byte[] salt, NonNull<string> first, NonNull<string> second, bool anonymous)
    {
        using var keys = new TenantKeys(salt);
        // A tenant's blocks on disk are found again under the same key, so it must stay what it is.
        Assert.Equal(Expected(salt, first.Get, anonymous), keys.Derive(Encoding.UTF8.GetBytes(first.Get), anonymous));
        Assert.Equal(Expected(salt, second.Get, !anonymous), keys.Derive(Encoding.UTF8.GetBytes(second.Get), !anonymous));
        Assert.Equal(Expected(salt, first.Get, anonymous), keys.Derive(Encoding.UTF8.GetBytes(first.Get), anonymous));
    }

    private static TenantKey Expected(byte[] salt, string name, bool anonymous)
    {
        var digest = HMACSHA256.HashData(salt, Encoding.UTF8.GetBytes((anonymous ? "anonymous:" : "tenant:") + name));
        return new TenantKey(BinaryPrimitives.ReadUInt64LittleEndian(digest), BinaryPrimitives.ReadUInt64LittleEndian(digest.AsSpan(8)));
    }
}
