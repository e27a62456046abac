using Moebius.KvCache.Arena;

namespace Moebius.KvCache.Index;

/// <summary>
/// Counts the leases on one run of blocks. A lease pins each run on its path once, not each block. A run that leaves the
/// tree, or is cut in two, closes its pin: no new lease takes it, and when the last one on it ends, what hung on it
/// is let go.
/// </summary>
/// <remarks>
/// Taken under the index's read lock, closed under its write lock, released without a lock: whoever brings the count of
/// a closed pin to zero settles it.
/// </remarks>
internal sealed class RunPin
{
    private const int Closed = int.MinValue;

    private int _uses;
    private int _upTo;
    private int[]? _slots;
    private SlotTable? _table;
    private RunPin? _head;
    private RunPin? _tail;

    /// <summary>Leading blocks of the run that a lease may be reading.</summary>
    public int UpTo => Volatile.Read(ref _uses) == 0 ? 0 : Volatile.Read(ref _upTo);

    /// <summary>A lease begins that reads the run's leading blocks.</summary>
    public void Take(int blocks)
    {
        Interlocked.Increment(ref _uses);
        for (var known = Volatile.Read(ref _upTo); known < blocks;)
        {
            var seen = Interlocked.CompareExchange(ref _upTo, blocks, known);
            if (seen == known)
                return;
            known = seen;
        }
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref _uses) == Closed)
            Settle();
    }

    /// <summary>The run has left the tree: its slots are free now, or when the last lease ends.</summary>
    public void CloseAndFree(SlotTable table, int[] slots)
    {
        if (Volatile.Read(ref _uses) == 0)
        {
            // No lock is needed against new leases: the caller keeps them out.
            table.Free(slots);
            return;
        }

        _table = table;
        _slots = slots;
        Close();
    }

    /// <summary>The run is cut after <paramref name="blocks"/> blocks: pins for the two parts, under which running leases go on.</summary>
    public (RunPin Head, RunPin Tail) Cut(int blocks)
    {
        var upTo = UpTo;
        var parts = (Head: new RunPin(), Tail: new RunPin());
        if (upTo == 0)
            return parts;
        parts.Head.Take(Math.Min(blocks, upTo));
        _head = parts.Head;
        if (upTo > blocks)
        {
            parts.Tail.Take(upTo - blocks);
            _tail = parts.Tail;
        }

        Close();
        return parts;
    }

    private void Close()
    {
        if (Interlocked.Or(ref _uses, Closed) == 0)
            Settle();
    }

    private void Settle()
    {
        if (_slots is not null)
            _table!.Free(_slots);
        _head?.Release();
        _tail?.Release();
    }
}

/// <summary>The runs that one lookup pins.</summary>
/// <param name="pins">A <see cref="RunPin"/>, or an array of several; null: none.</param>
internal readonly struct IndexLease(object? pins)
{
    /// <summary>Ends the lease; must be called once.</summary>
    public void Release()
    {
        if (pins is RunPin one)
        {
            one.Release();
            return;
        }

        foreach (var pin in (RunPin[]?)pins ?? [])
            pin.Release();
    }
}

/// <summary>The answer to a lookup: so many leading blocks, pinned until the lease is released.</summary>
/// <param name="Blocks">How many.</param>
/// <param name="Lease">What pins them.</param>
/// <param name="EndsPublic">All of it is public; also true when nothing was found.</param>
internal readonly record struct FoundPrefix(int Blocks, IndexLease Lease, bool EndsPublic);
