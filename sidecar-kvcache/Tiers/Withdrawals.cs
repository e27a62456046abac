using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// Where probed entries were taken back, and when. Blocks outside the arena do not say what they follow, so those behind
/// such an entry cannot all be found and dropped. Whoever brings blocks back asks here instead: what follows the entry
/// and was written before it was taken back is not public any more, also when the entry itself has become public anew.
/// The oldest are forgotten.
/// </summary>
internal sealed class Withdrawals
{
    /// <summary>Entries remembered: at most seven MiB.</summary>
    public const int Most = 1 << 16;

    private readonly object _gate = new();
    private readonly RecentMap<BlockKey, (long Moment, long Number)> _moments = new(Most);
    private long _count;

    /// <summary>Notes that an entry was taken back.</summary>
    /// <param name="first">Key of its first block.</param>
    /// <param name="moment">Milliseconds since 1970, by the clock by which blocks are written; <see cref="long.MaxValue"/>: not known yet.</param>
    /// <returns>What <see cref="Settle"/> knows it by.</returns>
    public long Add(BlockKey first, long moment)
    {
        lock (_gate)
        {
            _moments.Set(first, (moment, ++_count));
            return _count;
        }
    }

    /// <summary>Notes when it was, unless the entry has been taken back once more since.</summary>
    /// <param name="first">Key of its first block.</param>
    /// <param name="number">What <see cref="Add"/> returned.</param>
    /// <param name="moment">Milliseconds since 1970.</param>
    public void Settle(BlockKey first, long number, long moment)
    {
        lock (_gate)
        {
            if (_moments.GetValueOrDefault(first, default).Number == number)
                _moments.Set(first, (moment, number));
        }
    }

    /// <summary>For each block of a prompt, the last moment at which it or a block before it was taken back. Null: none was.</summary>
    /// <param name="keys">The prompt's.</param>
    public long[]? Along(ReadOnlySpan<BlockKey> keys)
    {
        lock (_gate)
        {
            if (_moments.Count == 0)
                return null;
            var moments = new long[keys.Length];
            var last = long.MinValue;
            for (var block = 0; block < keys.Length; block++)
                moments[block] = last = Math.Max(last, _moments.GetValueOrDefault(keys[block], (long.MinValue, 0)).Moment);
            return last == long.MinValue ? null : moments;
        }
    }
}
