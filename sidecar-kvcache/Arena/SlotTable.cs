using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
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
    private const int LineBytes = 64;

    /// <summary>Slots of a run that memory is asked for at once; with the rest the processor goes on by itself.</summary>
    private const int MaxPrefetched = 128;

    private readonly Lock _gate = new();
    private readonly ulong[] _generation;
    private readonly Action<int, ulong> _publish;

    // A stack that grows towards its beginning, so that a row of slots lies in it in the row's order.
    private readonly int[] _free;
    private int _top;

    /// <param name="count">How many slots there are.</param>
    /// <param name="publish">Told about every new generation, so that it can be seen in the arena itself.</param>
    public SlotTable(int count, Action<int, ulong> publish)
    {
        _generation = new ulong[count];
        _free = new int[count];
        Keys = new BlockKey[count];
        _publish = publish;
        for (var index = 0; index < count; index++)
        {
            _free[index] = index;
            _generation[index] = 1;
            // Touched now, so that no commit waits for the memory later.
            Keys[index] = default;
            publish(index, 1);
        }
    }

    public int Count => _generation.Length;

    public int FreeCount => _free.Length - Volatile.Read(ref _top);

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
        // The last key says whether all of them fit.
        Sse.Prefetch0(Unsafe.AsPointer(ref Keys[first + count - 1]));
        PrefetchLines(ref _generation[first], ref _generation[first + Math.Min(count, MaxPrefetched) - 1]);
    }

    /// <summary>Asks for the places of the keys of slots, before they are written, when the slots follow one another.</summary>
    public void PrefetchKeys(ReadOnlySpan<int> slots)
    {
        if (Sse.IsSupported && !slots.IsEmpty && slots[^1] - slots[0] == slots.Length - 1)
            PrefetchLines(ref Keys[slots[0]], ref Keys[slots[0] + Math.Min(slots.Length, MaxPrefetched) - 1]);
    }

    /// <summary>Notes the keys of blocks that have come into the index.</summary>
    public void StoreKeys(ReadOnlySpan<int> slots, ReadOnlySpan<BlockKey> keys)
    {
        if (SlotRun.IsRow(slots[0], slots))
        {
            keys.CopyTo(Keys.AsSpan(slots[0]));
            return;
        }

        for (var block = 0; block < slots.Length; block++)
            Keys[slots[block]] = keys[block];
    }

    /// <summary>References to slots that are in the index and follow one another; the caller keeps them there meanwhile.</summary>
    public void ReferenceRow(int first, Span<SlotRef> references)
    {
        var generations = _generation.AsSpan(first, references.Length);
        var index = Avx2.IsSupported ? ReferenceFours(first, generations, references) : 0;
        for (; index < generations.Length; index++)
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
            taken = taken[..Math.Min(taken.Length, FreeCount)];
            var free = _free.AsSpan(_top, taken.Length);
            if (!free.IsEmpty && SlotRun.IsRow(free[0], free))
                ReferenceRow(free[0], taken);
            else
                Reference(free, taken);
            _top += taken.Length;
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
            foreach (var slot in slots)
            {
                var generation = _generation[slot] + 1;
                Volatile.Write(ref _generation[slot], generation);
                _publish(slot, generation);
            }

            // They come out in this order again.
            _top -= slots.Length;
            slots.CopyTo(_free.AsSpan(_top));
        }
    }

    public void Free(int slot) => Free([slot]);

    private static unsafe void PrefetchLines<T>(ref T first, ref T last)
        where T : unmanaged
    {
        // Counted by the distance, which stays the same should the collector move the table meanwhile; a hint never faults.
        var bytes = Unsafe.ByteOffset(ref first, ref last);
        for (nint offset = 0; offset <= bytes; offset += LineBytes)
            Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.AddByteOffset(ref first, offset)));
    }

    /// <summary>Weaves numbers and generations together, four at a time.</summary>
    /// <returns>How many are done; the caller does the rest.</returns>
    private static int ReferenceFours(int first, ReadOnlySpan<ulong> generations, Span<SlotRef> references)
    {
        ref var source = ref MemoryMarshal.GetReference(generations);
        ref var target = ref Unsafe.As<SlotRef, ulong>(ref MemoryMarshal.GetReference(references));
        // Weaving works on halves of a vector, so both sides have their middle elements exchanged.
        var numbers = Vector256.Create((ulong)first) + Vector256.Create(0UL, 2, 1, 3);
        var step = Vector256.Create((ulong)Vector256<ulong>.Count);
        var index = 0;
        for (; index + Vector256<ulong>.Count <= generations.Length; index += Vector256<ulong>.Count, numbers += step)
        {
            var four = Avx2.Permute4x64(Vector256.LoadUnsafe(ref source, (nuint)index), 0b11_01_10_00);
            Avx2.UnpackLow(numbers, four).StoreUnsafe(ref target, (nuint)(2 * index));
            Avx2.UnpackHigh(numbers, four).StoreUnsafe(ref target, (nuint)((2 * index) + Vector256<ulong>.Count));
        }

        return index;
    }
}
