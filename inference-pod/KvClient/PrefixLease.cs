using Moebius.Inference.Engine;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.KvClient;

/// <summary>Blocks that the sidecar pins for one request.</summary>
/// <remarks>The arena's mapping is held for it.</remarks>
internal sealed class PrefixLease(CacheSession session, FoundBlocks found) : IPrefixLease
{
    private bool _released;

    public int Blocks => found.Slots.Length;

    public bool StillValid => session.Alive;

    public ReadOnlySpan<byte> Read(int block)
    {
        ObjectDisposedException.ThrowIf(_released, this);
        return session.Alive ? session.Arena.Slot(found.Slots[block], session.BlockBytes) : [];
    }

    public void Dispose()
    {
        if (_released)
            return;
        _released = true;
        session.Arena.EndHold();
        session.Release(found);
    }
}

/// <summary>Slots that the sidecar keeps for one request's new blocks.</summary>
/// <remarks>The arena's mapping is held for it.</remarks>
internal sealed class BlockReservation(CacheSession session, Tenant tenant, ReserveResponse reserved) : IBlockReservation
{
    private readonly List<Slot> _unused = [.. reserved.Slots];
    private bool _disposed;

    public int Blocks { get; } = reserved.Slots.Count;

    public Span<byte> Write(int block)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return session.Alive ? session.Arena.Slot(reserved.Slots[block].Index, session.BlockBytes) : [];
    }

    public async Task<bool> CommitAsync(ReadOnlyMemory<int> tokens, int firstBlock, ReadOnlyMemory<byte> text, ReadOnlyMemory<int> tokenBytes, CancellationToken stop)
    {
        var request = new CommitRequest
        {
            Tenant = tenant.Name,
            Anonymous = tenant.Anonymous,
            FirstBlock = (uint)firstBlock,
            Text = Google.Protobuf.UnsafeByteOperations.UnsafeWrap(text),
        };
        foreach (var token in tokens.Span)
            request.Tokens.Add((uint)token);
        foreach (var length in tokenBytes.Span)
            request.TokenBytes.Add((uint)length);
        request.Slots.AddRange(reserved.Slots);
        var cached = await session.CommitAsync(request, stop).ConfigureAwait(false);
        _unused.Clear();
        return cached;
    }

    public void Dispose()
    {
        if (!_disposed)
            session.Arena.EndHold();
        _disposed = true;
        if (_unused.Count == 0)
            return;
        var request = new ReleaseRequest();
        request.Slots.AddRange(_unused);
        _unused.Clear();
        session.Release(request);
    }
}
