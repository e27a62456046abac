namespace Moebius.KvCache.Index;

/// <summary>What is known about an entry's text.</summary>
internal enum Visibility
{
    /// <summary>Only its tenant sees it; nothing has cleared it and no rule has hit.</summary>
    Unproven,

    /// <summary>Only its tenant sees it, for good: a finding lies in it or before it.</summary>
    Private,

    /// <summary>Every tenant sees it.</summary>
    Public,
}

/// <summary>Why an entry is public; decides whether it stays so when the policy changes.</summary>
/// <param name="Declaration">Digest of the declared text that covers it; null when no text is.</param>
/// <param name="IsCleared">A tier has found its text harmless; only such entries can be worth probing.</param>
internal sealed record PublicReason(string? Declaration, bool IsCleared = false)
{
    public static PublicReason SharedByMode { get; } = new((string?)null);

    public static PublicReason Cleared { get; } = new(null, IsCleared: true);
}

/// <summary>Finds a child: its domain and the hash of its first block.</summary>
internal readonly record struct ChildKey(long Owner, ulong Hash);

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
    public int Count { get; set; }

    public int End => Start + Count;

    /// <summary>Token ids of the run; the array may be longer.</summary>
    public uint[] Tokens { get; set; } = [];

    /// <summary>Arena slot of each block; the array may be longer.</summary>
    public int[] Slots { get; set; } = [];

    public ulong Hash { get; set; }

    public Dictionary<ChildKey, IndexNode>? Children { get; set; }

    /// <summary>Time of the last commit or lookup that came through here, in milliseconds. A parent's is never older than its child's.</summary>
    public long LastUse;

    /// <summary>Lookups that came through here.</summary>
    public int Hits;

    public bool Removed { get; set; }

    /// <summary>The domain whose leaf queue holds this node.</summary>
    public Owner? QueuedIn { get; set; }

    public bool IsLeaf => Children is not { Count: > 0 };

    public void Append(ReadOnlySpan<uint> tokens, ReadOnlySpan<int> slots, int blockTokens)
    {
        var needed = Count + slots.Length;
        if (Slots.Length < needed)
        {
            // Exact at first, doubling when a conversation keeps growing.
            var capacity = Count == 0 ? needed : Math.Max(needed, 2 * Slots.Length);
            var (newSlots, newTokens) = (Slots, Tokens);
            Array.Resize(ref newSlots, capacity);
            Array.Resize(ref newTokens, capacity * blockTokens);
            (Slots, Tokens) = (newSlots, newTokens);
        }

        slots.CopyTo(Slots.AsSpan(Count));
        tokens.CopyTo(Tokens.AsSpan(Count * blockTokens));
        Count = needed;
    }

    /// <summary>How many leading blocks of the run equal those of <paramref name="tokens"/>.</summary>
    public int MatchingBlocks(ReadOnlySpan<uint> tokens, int blockTokens)
    {
        var mine = Tokens.AsSpan(0, Count * blockTokens);
        return mine.CommonPrefixLength(tokens) / blockTokens;
    }
}
