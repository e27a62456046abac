using System.Numerics;

namespace Moebius.KvCache.Detection;

/// <summary>Where each hint was last seen, and the last date.</summary>
internal sealed class HintTrail(ScanView view)
{
    private readonly int[] _end = Enumerable.Repeat(int.MinValue / 2, 32).ToArray();

    public (int Start, int End) LastDate { get; private set; } = (int.MinValue / 2, int.MinValue / 2);

    public void Saw(Hint hint, int end)
    {
        for (var bits = (uint)hint; bits != 0; bits &= bits - 1)
            _end[BitOperations.TrailingZeroCount(bits)] = end;
    }

    public void SawDate(int start, int end) => LastDate = (start, end);

    /// <summary>Whether the hint ends at most this many characters before a position.</summary>
    public bool Near(Hint hint, int position, int distance) => position - _end[BitOperations.TrailingZeroCount((uint)hint)] <= distance;

    /// <summary>The same, and no sentence begins in between.</summary>
    public bool NearInSentence(Hint hint, int position, int distance)
    {
        if (!Near(hint, position, distance))
            return false;
        var between = view.Text.AsSpan(End(hint), Math.Max(0, position - End(hint)));
        for (var stop = between.IndexOf('.'); stop >= 0 && stop + 2 < between.Length; stop += Math.Max(1, between[(stop + 1)..].IndexOf('.') + 1))
        {
            if ((between[stop + 1] == ' ' && char.IsUpper(between[stop + 2])) || between[stop + 1] >= 0x2E80)
                return false;
            if (between[(stop + 1)..].IndexOf('.') < 0)
                break;
        }

        return true;
    }

    /// <summary>Whether no empty line stands between a hint that is near and a position.</summary>
    public bool InParagraph(Hint hint, int position) => view.Text.AsSpan(End(hint), Math.Max(0, position - End(hint))).IndexOf("\n\n") < 0;

    public int End(Hint hint) => _end[BitOperations.TrailingZeroCount((uint)hint)];
}
