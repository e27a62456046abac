using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Moebius.KvCache.Detection;

/// <summary>A run of digits in a cluster.</summary>
internal readonly record struct DigitGroup(int Start, int End)
{
    public int Length => End - Start;
}

/// <summary>Groups of digits with at most a few separators between them: what is one number to a person.</summary>
internal sealed class DigitCluster(ScanView view)
{
    public const int MaxSeparator = 3;

    private readonly List<DigitGroup> _groups = [];
    private readonly List<byte> _digits = [];
    private readonly char[] _text = view.Text;

    public int Count => _groups.Count;

    /// <summary>How many digits all groups have.</summary>
    public int Total => _digits.Count;

    public ReadOnlySpan<byte> Digits => CollectionsMarshal.AsSpan(_digits);

    public ReadOnlySpan<DigitGroup> Groups => CollectionsMarshal.AsSpan(_groups);

    public int Start => _groups[0].Start;

    public int End => _groups[^1].End;

    /// <summary>What stands between a group and the one before it.</summary>
    public ReadOnlySpan<char> Gap(int group) => _text.AsSpan(_groups[group - 1].End, _groups[group].Start - _groups[group - 1].End);

    public static bool IsSeparator(char character) =>
        character is ' ' or '-' or '.' or '/' or '(' or ')' or '_' or '*' or '\t' or '\n' or '\r' or '|' or '[' or ']' or '·' or '+' or '#' or '年' or '月' or '년' or '월';

    /// <summary>Whether a line ends inside.</summary>
    public bool HasBreaks { get; private set; }

    /// <summary>Takes the groups from a digit on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Collect(int start)
    {
        Clear();
        var position = start;
        while (position < view.Length && char.IsAsciiDigit(_text[position]))
        {
            var groupStart = position;
            while (position < view.Length && char.IsAsciiDigit(_text[position]))
                _digits.Add((byte)(_text[position++] - '0'));
            _groups.Add(new DigitGroup(groupStart, position));
            var next = position;
            var breaks = 0;
            while (next < view.Length && next - position < MaxSeparator && IsSeparator(_text[next]))
                breaks += _text[next++] == '\n' ? 1 : 0;
            if (next == position || breaks > 1 || next >= view.Length || !char.IsAsciiDigit(_text[next]))
                return;
            HasBreaks |= breaks > 0;
            position = next;
        }
    }

    /// <summary>Takes these groups only.</summary>
    public void Take(ReadOnlySpan<DigitGroup> groups)
    {
        Clear();
        foreach (var group in groups)
        {
            _groups.Add(group);
            for (var index = group.Start; index < group.End; index++)
                _digits.Add((byte)(_text[index] - '0'));
        }
    }

    /// <summary>The group's value, or at least 100,000,000.</summary>
    public int Value(int group)
    {
        var value = 0;
        for (var index = _groups[group].Start; index < _groups[group].End && value < 100_000_000; index++)
            value = (value * 10) + (_text[index] - '0');
        return value;
    }

    public bool IsYear(int group) => _groups[group].Length == 4 && Value(group) is >= 1000 and <= 2100;

    /// <summary>Whether the three groups from this one on are a date: 2026-03-14, 14.3.2026, 03/14/26.</summary>
    public bool IsDateAt(int group)
    {
        if (group + 3 > Count)
            return false;
        var (a, b, c) = (Value(group), Value(group + 1), Value(group + 2));
        var (la, lb, lc) = (_groups[group].Length, _groups[group + 1].Length, _groups[group + 2].Length);
        if (lb > 2 || b is < 1 or > 31)
            return false;
        return (la == 4 && IsYear(group) && lc <= 2 && c is >= 1 and <= 31 && (b <= 12 || c <= 12))
            || (lc == 4 && IsYear(group + 2) && la <= 2 && a is >= 1 and <= 31 && (a <= 12 || b <= 12))
            || (lc == 2 && la <= 2 && a is >= 1 and <= 31 && (a <= 12 || b <= 12) && _text[_groups[group].End] is '/' or '.' or '-');
    }

    /// <summary>14.2: two groups and a full stop.</summary>
    public bool IsDecimal => Count == 2 && Gap(1) is ".";

    /// <summary>Whether the text was rewritten anywhere in the cluster: a disguise was taken off here.</summary>
    public bool IsRewritten => view.IsRewritten && view.EndOf(End - 1) - view.StartOf(Start) != End - Start;

    /// <summary>Every gap is the same, but for how many spaces it has.</summary>
    public bool HasOneSeparator(int first, int last)
    {
        for (var index = first + 2; index <= last; index++)
        {
            if (!Gap(index).SequenceEqual(Gap(first + 1)))
                return false;
        }

        return true;
    }

    /// <summary>The lengths of groups as they were before lines were broken inside the number.</summary>
    /// <param name="lengths">Room for as many as there are groups.</param>
    /// <param name="separator">What stands between all groups that remain; empty when there is one, and "?" when it differs.</param>
    /// <param name="breaks">How many line ends were taken out.</param>
    /// <returns>How many groups remain.</returns>
    public int Join(int first, int last, Span<int> lengths, out ReadOnlySpan<char> separator, out int breaks)
    {
        separator = default;
        breaks = 0;
        var count = 0;
        for (var index = first; index <= last; index++)
        {
            var gap = index > first ? Gap(index) : default;
            if (gap.IndexOfAny('\n', '\r') >= 0)
            {
                breaks++;
                lengths[count - 1] += _groups[index].Length;
                continue;
            }

            if (index > first)
                separator = separator.IsEmpty || gap.SequenceEqual(separator) ? gap : "?";
            lengths[count++] = _groups[index].Length;
        }

        return count;
    }

    private void Clear()
    {
        _groups.Clear();
        _digits.Clear();
        HasBreaks = false;
    }
}
