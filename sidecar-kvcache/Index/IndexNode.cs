using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Moebius.KvCache.Arena;

namespace Moebius.KvCache.Index;

/// <summary>What is known about an entry's text.</summary>
internal enum Visibility
{
    /// <summary>Only its tenant sees it; nothing has cleared it and no rule has hit.</summary>
    Unproven,

    /// <summary>Only its tenant sees it, for good: it, or something before it, was judged and not cleared.</summary>
    Private,

    /// <summary>Every tenant sees it.</summary>
    Public,
}

/// <summary>Why an entry is public; decides whether it stays so when the policy changes.</summary>
/// <param name="Declaration">Digest of the declared text that covers it; null when no text is.</param>
/// <param name="IsCleared">A tier has found its text harmless; only such entries can be worth probing.</param>
/// <param name="Clearance">Identifies the rules by which it was; null when none has.</param>
internal sealed record PublicReason(string? Declaration, bool IsCleared = false, string? Clearance = null)
{
    public static PublicReason SharedByMode { get; } = new((string?)null);
}

/// <summary>Finds a child: its domain and the key of its first block.</summary>
internal readonly record struct ChildKey(long Owner, BlockKey Key)
{
    // Keys are random already.
    public override int GetHashCode() => (int)(Key.Low ^ (ulong)Owner);
}

/// <summary>
/// A run of consecutive blocks without a branch in between (the compressed edge of the radix tree). All blocks of a run
/// have one owner and one visibility. A root is a node without blocks.
/// </summary>
internal sealed class IndexNode
{
    public IndexNode? Parent { get; set; }

    public required Owner Owner { get; set; }

    public Visibility Visibility { get; set; }

    /// <summary>Who committed a public run: it falls back to this domain when it must not be public any longer. Null: nobody known.</summary>
    public TenantKey? Origin { get; set; }

    public PublicReason? Reason { get; set; }

    /// <summary>Blocks before this run.</summary>
    public int Start { get; set; }

    /// <summary>Blocks in this run.</summary>
    public int Count => Run.Count;

    public int End => Start + Count;

    /// <summary>Arena slots of the blocks.</summary>
    public SlotRun Run;

    /// <summary>Key of the first block; the others' are found by their slots.</summary>
    public BlockKey FirstKey { get; init; }

    /// <summary>Leases on this run.</summary>
    public RunPin Pin { get; set; } = new();

    public ChildKey ChildKey => new(Owner.Id, FirstKey);

    public Dictionary<ChildKey, IndexNode>? Children { get; set; }

    /// <summary>Time of the last commit or lookup that came through here, in milliseconds. A parent's is never older than its child's.</summary>
    public long LastUse;

    /// <summary>Lookups that came through here.</summary>
    public long Hits;

    public bool Removed { get; set; }

    /// <summary>The domain whose leaf queue holds this node.</summary>
    public Owner? QueuedIn { get; set; }

    public bool IsLeaf => Children is not { Count: > 0 };

    /// <summary>
    /// Asks for all that a lookup reads of this run, at once. A pin is taken with an ordered write, behind which nothing
    /// is read ahead: in a large tree each of these would be waited for in turn.
    /// </summary>
    public unsafe void Prefetch(SlotTable slots)
    {
        Run.Prefetch(slots);
        var pin = Pin;
        // A hint never faults, also should the collector move the object meanwhile.
        if (Sse.IsSupported)
            Sse.Prefetch0(Unsafe.As<RunPin, nint>(ref pin).ToPointer());
    }

    /// <summary>How many leading blocks of the run lie on the path of a prompt's keys. A key covers all before it, so the first difference is searched for by halving.</summary>
    public int MatchingBlocks(BlockKey[] keyOfSlot, ReadOnlySpan<BlockKey> keys)
    {
        var theirs = keys[Start..];
        var common = Math.Min(Count, theirs.Length);
        if (common == 0 || keyOfSlot[Run[common - 1]] == theirs[common - 1])
            return common;
        var (equal, different) = (0, common - 1);
        while (equal < different)
        {
            var middle = (equal + different) / 2;
            if (keyOfSlot[Run[middle]] == theirs[middle])
                equal = middle + 1;
            else
                different = middle;
        }

        return equal;
    }
}
