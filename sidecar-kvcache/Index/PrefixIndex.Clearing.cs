namespace Moebius.KvCache.Index;

// What classification asks the tree.
internal sealed partial class PrefixIndex
{
    /// <summary>Leading blocks of a prompt that are public now.</summary>
    public int PublicBlocks(IndexRoot root, ReadOnlySpan<uint> tokens)
    {
        using (_lock.Read())
            return Match(root, null, root.Keys(tokens), View.Shared).Depth;
    }
}
