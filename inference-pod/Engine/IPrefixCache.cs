namespace Moebius.Inference.Engine;

/// <summary>
/// KV blocks of earlier requests. The asynchronous calls may come from any thread; the copies happen on the engine's.
/// Nothing here throws when the cache is gone: it then finds and takes nothing.
/// </summary>
internal interface IPrefixCache
{
    /// <summary>The longest cached prefix this tenant may use. Null when there is none or the cache does not answer.</summary>
    /// <param name="tenant">Who asks.</param>
    /// <param name="tokens">Token ids from position 0.</param>
    /// <param name="again">The same request has looked up before: it counts as one use, whatever it asks for.</param>
    /// <param name="stop">Ends the wait.</param>
    Task<IPrefixLease?> LookupAsync(Tenant tenant, ReadOnlyMemory<int> tokens, bool again, CancellationToken stop);

    /// <summary>Room for new blocks; may be for fewer than asked. Null when there is none.</summary>
    Task<IBlockReservation?> ReserveAsync(Tenant tenant, int blocks, CancellationToken stop);
}

/// <summary>Cached blocks, pinned until disposed.</summary>
internal interface IPrefixLease : IDisposable
{
    /// <summary>Leading blocks found.</summary>
    int Blocks { get; }

    /// <summary>A block in place, until disposed. Empty when it is no longer what was found: nothing read so far may be used.</summary>
    ReadOnlySpan<byte> Read(int block);

    /// <summary>Whether everything read so far was what was found.</summary>
    bool StillValid { get; }
}

/// <summary>Room for blocks; given back when disposed without being committed.</summary>
internal interface IBlockReservation : IDisposable
{
    /// <summary>Blocks there is room for.</summary>
    int Blocks { get; }

    /// <summary>Where a block is written, until disposed. Empty when the room is gone.</summary>
    Span<byte> Write(int block);

    /// <summary>Publishes the written blocks.</summary>
    /// <param name="tokens">Token ids from position 0 through the last written block.</param>
    /// <param name="firstBlock">Index of the first one.</param>
    /// <param name="text">UTF-8 text of the tokens.</param>
    /// <param name="tokenBytes">Bytes of <paramref name="text"/> that each token adds.</param>
    /// <param name="stop">Ends the wait.</param>
    /// <returns>Whether they are cached now.</returns>
    Task<bool> CommitAsync(ReadOnlyMemory<int> tokens, int firstBlock, ReadOnlyMemory<byte> text, ReadOnlyMemory<int> tokenBytes, CancellationToken stop);
}

/// <summary>No cache.</summary>
internal sealed class NoPrefixCache : IPrefixCache
{
    public Task<IPrefixLease?> LookupAsync(Tenant tenant, ReadOnlyMemory<int> tokens, bool again, CancellationToken stop) => Task.FromResult<IPrefixLease?>(null);

    public Task<IBlockReservation?> ReserveAsync(Tenant tenant, int blocks, CancellationToken stop) => Task.FromResult<IBlockReservation?>(null);
}
