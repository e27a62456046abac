namespace Moebius.KvCache.Index;

/// <summary>
/// The tree of one model. Nothing is shared between trees: the model's key is everything that makes KV bytes
/// interchangeable, and the hasher's secret is this tree's own.
/// </summary>
internal sealed class IndexRoot(ModelKey model, Owner publicOwner)
{
    public ModelKey Model { get; } = model;

    public int BlockTokens => Model.BlockTokens;

    private readonly BlockHasher _hasher = new(model.BlockTokens);

    /// <summary>Keys of a prompt's full blocks. Made once for each call and used for all that is looked for in this tree.</summary>
    public BlockKey[] Keys(ReadOnlySpan<uint> tokens)
    {
        var keys = GC.AllocateUninitializedArray<BlockKey>(tokens.Length / BlockTokens);
        _hasher.Compute(tokens, keys);
        return keys;
    }

    /// <summary>The same, into memory of the caller, when that is large enough.</summary>
    public ReadOnlySpan<BlockKey> Keys(ReadOnlySpan<uint> tokens, Span<BlockKey> buffer)
    {
        var count = tokens.Length / BlockTokens;
        if (count > buffer.Length)
            return Keys(tokens);
        _hasher.Compute(tokens, buffer[..count]);
        return buffer[..count];
    }

    public IndexNode Node { get; } = new() { Owner = publicOwner, Visibility = Visibility.Public };
}

/// <summary>What a tree belongs to.</summary>
/// <param name="Fingerprint">SHA-256 in hexadecimal over weights, dtype, tokenizer, rope settings and block layout.</param>
internal sealed record ModelKey(string Fingerprint, int BlockTokens, long BlockBytes);
