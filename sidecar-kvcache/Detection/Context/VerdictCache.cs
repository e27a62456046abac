using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Detection.Context;

/// <summary>
/// Verdicts by the HMAC-SHA-256 of their tenant and text under a key that lives and dies with this object: how soon a
/// verdict comes must not tell a tenant what another one wrote. The oldest used goes first. Safe for use by several threads.
/// </summary>
internal sealed class VerdictCache(int size)
{
    private readonly byte[] _key = RandomNumberGenerator.GetBytes(32);
    private readonly RecentMap<UInt128, bool> _entries = new(size);

    public int Count
    {
        get
        {
            lock (_entries)
                return _entries.Count;
        }
    }

    public UInt128 KeyOf(TenantKey tenant, string context, string passage)
    {
        // The lengths keep one pair from reading like another.
        var text = Encoding.UTF8.GetBytes(FormattableString.Invariant($"{tenant.High:x16}{tenant.Low:x16}{context.Length}:{context}{passage}"));
        return BinaryPrimitives.ReadUInt128LittleEndian(HMACSHA256.HashData(_key, text));
    }

    public bool TryGet(UInt128 key, out bool isPrivate)
    {
        lock (_entries)
            return _entries.TryUse(key, out isPrivate);
    }

    public void Add(UInt128 key, bool isPrivate)
    {
        lock (_entries)
        {
            // Of two that were asked at once the first stands.
            if (!_entries.Contains(key))
                _entries.Set(key, isPrivate);
        }
    }
}
