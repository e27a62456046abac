using System.Numerics;
using Moebius.KvCache.Arena;

namespace Moebius.KvCache.Index;

/// <summary>
/// The slots of consecutive blocks. Slots are handed out in rows, so as a rule the first one says all; where rows are
/// broken there is an array. What is known about a slot's block lies in tables by slot (<see cref="SlotTable"/>), so that
/// a run of any length costs a node nothing.
/// </summary>
internal struct SlotRun
{
    private int _first;

    // Null: the slots follow one another. May be longer than the run.
    private int[]? _scattered;

    public int Count { get; private set; }

    public readonly int this[int block] => _scattered is null ? _first + block : _scattered[block];

    /// <summary>Adds slots, at least one.</summary>
    public void Append(ReadOnlySpan<int> slots)
    {
        if (Count == 0)
            (_first, _scattered) = (slots[0], null);
        if (_scattered is null && IsRow(_first + Count, slots))
        {
            Count += slots.Length;
            return;
        }

        // Exact at first, doubling when a conversation keeps growing.
        var needed = Count + slots.Length;
        var array = _scattered;
        if (array is null)
        {
            array = new int[needed];
            for (var block = 0; block < Count; block++)
                array[block] = _first + block;
        }
        else if (array.Length < needed)
        {
            Array.Resize(ref array, Math.Max(needed, 2 * array.Length));
        }

        slots.CopyTo(array.AsSpan(Count));
        (_scattered, Count) = (array, needed);
    }

    /// <summary>Keeps the leading blocks.</summary>
    public void Trim(int count) => Count = count;

    /// <summary>Keeps the leading blocks and gives the others.</summary>
    public SlotRun Cut(int at)
    {
        var rest = this;
        rest.Count = Count - at;
        if (_scattered is null)
            rest._first = _first + at;
        else
            (rest._scattered, _scattered) = (_scattered[at..Count], _scattered[..at]);
        Count = at;
        return rest;
    }

    /// <summary>Slots of some blocks.</summary>
    public readonly int[] ToArray(int from, int count)
    {
        var slots = new int[count];
        for (var block = 0; block < count; block++)
            slots[block] = this[from + block];
        return slots;
    }

    /// <summary>Asks for what a lookup reads about the slots, when they follow one another.</summary>
    public readonly void Prefetch(SlotTable table)
    {
        if (_scattered is null && Count > 0)
            table.Prefetch(_first, Count);
    }

    /// <summary>References to the slots of the leading blocks.</summary>
    public readonly void Reference(SlotTable table, Span<SlotRef> references)
    {
        if (_scattered is null)
            table.ReferenceRow(_first, references);
        else
            table.Reference(_scattered.AsSpan(0, references.Length), references);
    }

    /// <summary>Whether slots follow one another.</summary>
    /// <param name="first">The first one as it should be.</param>
    /// <param name="slots">The slots.</param>
    public static bool IsRow(int first, ReadOnlySpan<int> slots)
    {
        // Rows are the rule, and what is no row mostly ends elsewhere.
        if (slots[^1] != first + slots.Length - 1)
            return false;
        var expected = Vector<int>.Indices + new Vector<int>(first);
        var step = new Vector<int>(Vector<int>.Count);
        var block = 0;
        for (; block + Vector<int>.Count <= slots.Length; block += Vector<int>.Count, expected += step)
        {
            if (new Vector<int>(slots[block..]) != expected)
                return false;
        }

        for (; block < slots.Length; block++)
        {
            if (slots[block] != first + block)
                return false;
        }

        return true;
    }
}
