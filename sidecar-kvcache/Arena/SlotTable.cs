using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Arena;

/// <summary>A slot and the generation in which it was handed out.</summary>
internal readonly record struct SlotRef(int Index, ulong Generation);

/// <summary>
/// The slots of the arena. A slot is free or taken: reserved, in the index, or still read under a lease. A slot that is
/// freed gets a new generation. Free slots are handed out in rows, as far as there are rows.
/// </summary>
internal sealed class SlotTable
{
    private readonly Lock _gate = new();
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
        Keys = new BlockKey[count];
        _publish = publish;
        _freeCount = count;
        for (var index = 0; index < count; index++)
        {
            _free[index] = count - 1 - index;
            _generation[index] = 1;
            // Touched now, so that no commit waits for the memory later.
            Keys[index] = default;
            publish(index, 1);
        }
    }

    public int Count => _generation.Length;

    public int FreeCount => Volatile.Read(ref _freeCount);

    public SlotRef Reference(int slot) => new(slot, Volatile.Read(ref _generation[slot]));

    /// <summary>Key of the block in each slot that is in the index; belongs to the index.</summary>
    public BlockKey[] Keys { get; }

    /// <summary>Asks for what is known about slots that follow one another, before it is read: keys and generations lie far apart.</summary>
    /// <param name="first">The first one.</param>
    /// <param name="count">How many, at least one.</param>
    public unsafe void Prefetch(int first, int count)
    {
        if (!Sse.IsSupported)
            return;
        // The last key says whether all of them fit; generations come in lines of eight, which the processor goes on with.
        Sse.Prefetch0(Unsafe.AsPointer(ref Keys[first + count - 1]));
        Sse.Prefetch0(Unsafe.AsPointer(ref _generation[first]));
    }

    /// <summary>References to slots that are in the index and follow one another; the caller keeps them there meanwhile.</summary>
    public void ReferenceRow(int first, Span<SlotRef> references)
    {
        var generations = _generation.AsSpan(first, references.Length);
        for (var index = 0; index < generations.Length; index++)
            references[index] = new SlotRef(first + index, generations[index]);
    }

    /// <summary>References to slots that are in the index; the caller keeps them there meanwhile.</summary>
    public void Reference(ReadOnlySpan<int> slots, Span<SlotRef> references)
    {
        for (var index = 0; index < slots.Length; index++)
            references[index] = new SlotRef(slots[index], _generation[slots[index]]);
    }

    /// <summary>Takes free slots.</summary>
    /// <returns>How many; fewer than there is room for when there are no more.</returns>
    public int Take(Span<SlotRef> taken)
    {
        lock (_gate)
        {
            taken = taken[..Math.Min(taken.Length, _freeCount)];
            // The next one is on top.
            var free = _free.AsSpan(_freeCount - taken.Length, taken.Length);
            for (var index = 0; index < taken.Length; index++)
            {
                var slot = free[free.Length - 1 - index];
                taken[index] = new SlotRef(slot, _generation[slot]);
            }

            _freeCount -= taken.Length;
            return taken.Length;
        }
    }

    /// <summary>Frees slots that nothing points at or reads any more.</summary>
    public void Free(ReadOnlySpan<int> slots)
    {
        if (slots.IsEmpty)
            return;
        lock (_gate)
        {
            // The first one on top, so that they come out in this order again.
            for (var index = slots.Length - 1; index >= 0; index--)
            {
                var slot = slots[index];
                var generation = _generation[slot] + 1;
                Volatile.Write(ref _generation[slot], generation);
                _publish(slot, generation);
                _free[_freeCount++] = slot;
            }
        }
    }

    public void Free(int slot) => Free([slot]);
}
