namespace Moebius.KvCache.Index;

/// <summary>
/// The tree of one model. Nothing is shared between trees: the key is everything that makes KV bytes interchangeable,
/// and the seed salts the hashes of this tree.
/// </summary>
internal sealed class IndexRoot(ModelKey model, ulong seed, Owner publicOwner)
{
    public ModelKey Model { get; } = model;

    public int BlockTokens => Model.BlockTokens;

    public ulong Seed { get; } = seed;

    public IndexNode Node { get; } = new() { Owner = publicOwner, Visibility = Visibility.Public };
}

/// <summary>What a tree belongs to.</summary>
/// <param name="Fingerprint">SHA-256 in hexadecimal over weights, dtype, tokenizer, rope settings and block layout.</param>
internal sealed record ModelKey(string Fingerprint, int BlockTokens, long BlockBytes);
