namespace Moebius.KvCache.Arena;

/// <summary>A slot and the generation in which it was handed out.</summary>
internal readonly record struct SlotRef(int Index, ulong Generation);

/// <summary>
/// The slots of the arena. A slot is free or taken: reserved, in the index, or still read under a lease. A slot that is
/// freed gets a new generation.
/// </summary>
internal sealed class SlotTable
{
    private readonly object _gate = new();
    private readonly ulong[] _generation;
    private readonly int[] _free;
    private readonly Action<int, ulong> _publish;
    private int _freeCount;

    /// <param name="count">How many slots there are.</param>
    /// <param name="publish">Told about every new generation, so that it can be seen in the arena itself.</param>
    public SlotTable(int count, Action<int, ulong> publish)
    {
        _generation = new ulong[count];
        _free = new int[count];
        _publish = publish;
        _freeCount = count;
        for (var index = 0; index < count; index++)
        {
            _free[index] = count - 1 - index;
            _generation[index] = 1;
            publish(index, 1);
        }
    }

    public int Count => _generation.Length;

    public int FreeCount => Volatile.Read(ref _freeCount);

    public SlotRef Reference(int slot) => new(slot, Volatile.Read(ref _generation[slot]));

    /// <summary>References to slots that are in the index; the caller keeps them there meanwhile.</summary>
    public void Reference(ReadOnlySpan<int> slots, Span<SlotRef> references)
    {
        for (var index = 0; index < slots.Length; index++)
            references[index] = new SlotRef(slots[index], _generation[slots[index]]);
    }

    /// <summary>Takes up to <paramref name="count"/> free slots.</summary>
    public List<SlotRef> Take(int count)
    {
        lock (_gate)
        {
            var taken = new List<SlotRef>(Math.Min(count, _freeCount));
            while (taken.Count < count && _freeCount > 0)
            {
                var slot = _free[--_freeCount];
                taken.Add(new SlotRef(slot, _generation[slot]));
            }

            return taken;
        }
    }

    /// <summary>Frees slots that nothing points at or reads any more.</summary>
    public void Free(ReadOnlySpan<int> slots)
    {
        if (slots.IsEmpty)
            return;
        lock (_gate)
        {
            foreach (var slot in slots)
            {
                var generation = _generation[slot] + 1;
                Volatile.Write(ref _generation[slot], generation);
                _publish(slot, generation);
                _free[_freeCount++] = slot;
            }
        }
    }

    public void Free(int slot) => Free([slot]);
}
