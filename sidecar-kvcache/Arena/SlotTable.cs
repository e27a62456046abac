namespace Moebius.KvCache.Arena;

/// <summary>A slot and the generation in which it was handed out.</summary>
internal readonly record struct SlotRef(int Index, ulong Generation);

/// <summary>
/// The slots of the arena. A slot is free, taken (reserved, or an index entry points at it), or doomed: nothing points
/// at it any more but a lease still reads it. Pins are taken without a lock; whoever ends the last use frees the slot.
/// </summary>
internal sealed class SlotTable
{
    private const int Doomed = int.MinValue;

    private readonly object _gate = new();
    private readonly ulong[] _generation;
    private readonly int[] _pins;
    private readonly int[] _free;
    private readonly Action<int, ulong> _publish;
    private int _freeCount;

    /// <param name="count">How many slots there are.</param>
    /// <param name="publish">Told about every new generation, so that it can be seen in the arena itself.</param>
    public SlotTable(int count, Action<int, ulong> publish)
    {
        _generation = new ulong[count];
        _pins = new int[count];
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

    public bool IsPinned(int slot) => (Volatile.Read(ref _pins[slot]) & ~Doomed) != 0;

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

    /// <summary>Pins a cached slot. The caller holds the index's read lock, so the entry cannot go away meanwhile.</summary>
    public void Pin(int slot) => Interlocked.Increment(ref _pins[slot]);

    public void Unpin(int slot)
    {
        if (Interlocked.Decrement(ref _pins[slot]) == Doomed)
            Free(slot);
    }

    /// <summary>
    /// Nothing points at the slot any more: free now, or when the last lease on it ends. For a cached slot the caller
    /// holds the index's write lock.
    /// </summary>
    public void Unlink(int slot)
    {
        if ((Interlocked.Or(ref _pins[slot], Doomed) & ~Doomed) == 0)
            Free(slot);
    }

    private void Free(int slot)
    {
        lock (_gate)
        {
            _pins[slot] = 0;
            var generation = _generation[slot] + 1;
            Volatile.Write(ref _generation[slot], generation);
            _publish(slot, generation);
            _free[_freeCount++] = slot;
        }
    }
}
