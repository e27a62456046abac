using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Moebius.KvCache.Detection.Context;

/// <summary>
/// Verdicts by the HMAC-SHA-256 of their text under a key that lives and dies with this object. The oldest used goes
/// first. Safe for use by several threads.
/// </summary>
internal sealed class VerdictCache(int size)
{
    private readonly byte[] _key = RandomNumberGenerator.GetBytes(32);
    private readonly Dictionary<UInt128, LinkedListNode<(UInt128 Key, bool IsPrivate)>> _entries = [];
    private readonly LinkedList<(UInt128 Key, bool IsPrivate)> _byUse = new();

    public int Count
    {
        get
        {
            lock (_entries)
                return _entries.Count;
        }
    }

    public UInt128 KeyOf(string context, string passage)
    {
        // The length keeps one pair from reading like another.
        var text = Encoding.UTF8.GetBytes($"{context.Length}:{context}{passage}");
        return BinaryPrimitives.ReadUInt128LittleEndian(HMACSHA256.HashData(_key, text));
    }

    public bool TryGet(UInt128 key, out bool isPrivate)
    {
        lock (_entries)
        {
            isPrivate = false;
            if (!_entries.TryGetValue(key, out var entry))
                return false;
            _byUse.Remove(entry);
            _byUse.AddLast(entry);
            isPrivate = entry.Value.IsPrivate;
            return true;
        }
    }

    public void Add(UInt128 key, bool isPrivate)
    {
        lock (_entries)
        {
            if (size == 0 || _entries.ContainsKey(key))
                return;
            if (_entries.Count == size)
            {
                _entries.Remove(_byUse.First!.Value.Key);
                _byUse.RemoveFirst();
            }

            _entries[key] = _byUse.AddLast((key, isPrivate));
        }
    }
}
