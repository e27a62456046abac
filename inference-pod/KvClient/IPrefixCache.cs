using Moebius.Inference.Models;

namespace Moebius.Inference.KvClient;

/// <summary>
/// Keys and values of prompts seen before. Never needed for a right answer: when the cache is gone a lookup misses and
/// a commit does nothing. Called from the engine loop; each call ends within a short deadline.
/// </summary>
internal interface IPrefixCache : IAsyncDisposable
{
    /// <summary>Waits until the cache can be used, or the time is over. False when it cannot.</summary>
    Task<bool> WaitUntilUsableAsync(TimeSpan limit, CancellationToken stop);

    /// <summary>The longest cached prefix of <paramref name="tokens"/> that the tenant may use. Dispose it after copying.</summary>
    IPrefixHit Lookup(TenantId tenant, ReadOnlySpan<int> tokens);

    /// <summary>Offers full blocks of a sequence to the cache, private to the tenant.</summary>
    /// <param name="tenant">Whose they are.</param>
    /// <param name="kv">The sequence; holds at least <c>(firstBlock + blocks) * BlockTokens</c> tokens.</param>
    /// <param name="prefix">All tokens from position 0 to the end of the last offered block, and their text.</param>
    /// <param name="firstBlock">Index of the first offered block: the ones before it are cached already.</param>
    /// <param name="blocks">How many blocks, at least 1.</param>
    /// <returns>Leading blocks of the sequence that are cached now.</returns>
    int Commit(TenantId tenant, ISequenceKv kv, PrefixText prefix, int firstBlock, int blocks);
}

/// <summary>Tokens from position 0 with the text that they stand for, without loss.</summary>
/// <param name="Tokens">Token ids.</param>
/// <param name="Utf8">Concatenated UTF-8 bytes of the tokens; special tokens have none.</param>
/// <param name="TokenBytes">How many of the bytes each token has; as long as <paramref name="Tokens"/>.</param>
internal readonly ref struct PrefixText(ReadOnlySpan<int> Tokens, ReadOnlySpan<byte> Utf8, ReadOnlySpan<int> TokenBytes)
{
    public ReadOnlySpan<int> Tokens { get; } = Tokens;

    public ReadOnlySpan<byte> Utf8 { get; } = Utf8;

    public ReadOnlySpan<int> TokenBytes { get; } = TokenBytes;
}

/// <summary>Cached blocks, held in place until disposed.</summary>
internal interface IPrefixHit : IDisposable
{
    /// <summary>Leading blocks that may be used; 0 for a miss.</summary>
    int Blocks { get; }

    /// <summary>Copies the first blocks into an empty sequence. Returns how many were still valid.</summary>
    int CopyTo(ISequenceKv kv, int blocks);
}

/// <summary>No cache: every lookup misses.</summary>
internal sealed class NoPrefixCache : IPrefixCache, IPrefixHit
{
    private NoPrefixCache()
    {
    }

    public static NoPrefixCache Instance { get; } = new();

    public int Blocks => 0;

    public Task<bool> WaitUntilUsableAsync(TimeSpan limit, CancellationToken stop) => Task.FromResult(true);

    public IPrefixHit Lookup(TenantId tenant, ReadOnlySpan<int> tokens) => this;

    public int Commit(TenantId tenant, ISequenceKv kv, PrefixText prefix, int firstBlock, int blocks) => firstBlock;

    public int CopyTo(ISequenceKv kv, int blocks) => 0;

    public void Dispose()
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
