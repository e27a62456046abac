using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// Under which names public blocks are outside the arena, so that they can be withdrawn. Of the last ones only: an older one that
/// is taken back stays in the tier between pods until it has been idle, while this pod knows by <see cref="Withdrawals"/> not to take it.
/// </summary>
internal sealed class PublicNames(int most = PublicNames.Most)
{
    /// <summary>Names remembered: at most some forty MiB.</summary>
    public const int Most = 1 << 18;

    private readonly object _gate = new();
    private readonly RecentMap<BlockKey, BlockId> _names = new(most);

    /// <summary>Notes a block's name.</summary>
    public void Know(BlockKey key, BlockId name)
    {
        lock (_gate)
            _names.Set(key, name);
    }

    /// <summary>Whether the block has been noted and not withdrawn since.</summary>
    public bool IsKnown(BlockKey key)
    {
        lock (_gate)
            return _names.Contains(key);
    }

    /// <summary>Forgets blocks and returns the names of those that were known.</summary>
    public List<BlockId> Withdraw(IReadOnlyList<BlockKey> keys)
    {
        var names = new List<BlockId>();
        lock (_gate)
        {
            foreach (var key in keys)
            {
                if (_names.TryRemove(key, out var name))
                    names.Add(name);
            }
        }

        return names;
    }
}
