namespace Moebius.KvCache.Arena;

/// <summary>
/// How the arena file is divided: <see cref="SlotCount"/> slots from offset 0, then one 64-bit generation counter per
/// slot.
/// </summary>
internal sealed record ArenaGeometry(long ArenaBytes, long SlotBytes, int SlotCount)
{
    private const long Page = 4096;

    /// <summary>Offset of the generation counters, 8-byte aligned.</summary>
    public long GenerationTableOffset => SlotBytes * SlotCount;

    /// <summary>The smallest arena that holds so many blocks of a size.</summary>
    public static UInt128 BytesFor(ulong blockBytes, int blocks) => (((UInt128)blockBytes + Page - 1) / Page * Page + sizeof(ulong)) * (UInt128)blocks;

    /// <summary>Divides an arena for blocks of a size.</summary>
    /// <returns>Null when not even one block fits.</returns>
    public static ArenaGeometry? For(long arenaBytes, ulong blockBytes)
    {
        if (blockBytes == 0 || blockBytes > (ulong)arenaBytes)
            return null;
        // Whole pages: a block never shares a page, and direct I/O into a slot stays possible.
        var slotBytes = ((long)blockBytes + Page - 1) / Page * Page;
        var count = arenaBytes / (slotBytes + sizeof(ulong));
        return count == 0 ? null : new ArenaGeometry(arenaBytes, slotBytes, (int)Math.Min(count, 1 << 26));
    }
}
