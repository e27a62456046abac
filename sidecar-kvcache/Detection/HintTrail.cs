using System.Numerics;

namespace Moebius.KvCache.Detection;

/// <summary>Where each hint was last seen, and the last date.</summary>
internal sealed class HintTrail
{
    private readonly int[] _end = new int[32];

    public HintTrail() => Array.Fill(_end, int.MinValue / 2);

    public (int Start, int End) LastDate { get; private set; } = (int.MinValue / 2, int.MinValue / 2);

    public void Saw(Hint hint, int end)
    {
        for (var bits = (uint)hint; bits != 0; bits &= bits - 1)
            _end[BitOperations.TrailingZeroCount(bits)] = end;
    }

    public void SawDate(int start, int end) => LastDate = (start, end);

    /// <summary>Whether the hint ends at most this many characters before a position.</summary>
    public bool Near(Hint hint, int position, int distance) => position - _end[BitOperations.TrailingZeroCount((uint)hint)] <= distance;

    public int End(Hint hint) => _end[BitOperations.TrailingZeroCount((uint)hint)];
}
