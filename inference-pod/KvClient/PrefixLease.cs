using Moebius.Inference.Engine;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.KvClient;

/// <summary>Blocks that the sidecar pins for one request.</summary>
internal sealed class PrefixLease(CacheSession session, LookupResponse found) : IPrefixLease
{
    private bool released;

    public int Blocks => found.Blocks.Count;

    public bool StillValid => session.Alive;

    public bool TryRead(int block, Span<byte> destination) => session.Alive && session.Arena.TryRead(found.Blocks[block].Index, destination);

    public void Dispose()
    {
        if (released)
            return;
        released = true;
        session.Release(new ReleaseRequest { Lease = found.Lease });
    }
}

/// <summary>Slots that the sidecar keeps for one request's new blocks.</summary>
internal sealed class BlockReservation(CacheSession session, Tenant tenant, ReserveResponse reserved) : IBlockReservation
{
    private readonly List<Slot> unused = [.. reserved.Slots];

    public int Blocks { get; } = reserved.Slots.Count;

    public bool TryWrite(int block, ReadOnlySpan<byte> source) => session.Alive && session.Arena.TryWrite(reserved.Slots[block].Index, source);

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
        unused.Clear();
        return cached;
    }

    public void Dispose()
    {
        if (unused.Count == 0)
            return;
        var request = new ReleaseRequest();
        request.Slots.AddRange(unused);
        unused.Clear();
        session.Release(request);
    }
}
