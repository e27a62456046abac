using System.Globalization;
using System.Text;
using Google.Protobuf.Collections;
using Grpc.Core;
using Microsoft.Extensions.Hosting;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Arena;

namespace Moebius.KvCache.Service;

/// <summary>The gRPC face of the cache: turns messages into calls and errors into status codes, nothing else.</summary>
internal sealed class KvCacheService(CacheStore store, IHostApplicationLifetime lifetime) : Kvcache.V1.KvCache.KvCacheBase
{
    public override Task<AttachResponse> Attach(AttachRequest request, ServerCallContext context) => Answer(() =>
    {
        var session = store.Attach(request.ProtocolVersion, request.Fingerprint.Span, request.BlockTokens, request.BlockBytes, request.EngineId);
        var geometry = session.Layout.Geometry;
        return new AttachResponse
        {
            Session = session.Id,
            ArenaPath = store.ArenaPath,
            ArenaBytes = (ulong)geometry.ArenaBytes,
            SlotBytes = (ulong)geometry.SlotBytes,
            SlotCount = (uint)geometry.SlotCount,
            ArenaEpoch = session.Layout.Epoch,
            GenerationTableOffset = (ulong)geometry.GenerationTableOffset,
            HotSocketPath = store.HotSocketPath,
        };
    });

    public override async Task Hold(HoldRequest request, IServerStreamWriter<HoldResponse> responseStream, ServerCallContext context)
    {
        var session = await Answer(() => store.Session(request.Session));
        Interlocked.Increment(ref session.Holders);
        // A host that stops waits half a minute for calls before it cuts them off.
        using var over = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, lifetime.ApplicationStopping);
        try
        {
            await responseStream.WriteAsync(new HoldResponse());
            await Task.Delay(Timeout.Infinite, over.Token);
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // How a Hold call ends: the engine is gone, or this process stops.
        }
        finally
        {
            if (Interlocked.Decrement(ref session.Holders) == 0)
                store.End(session);
        }
    }

    public override async Task<LookupResponse> Lookup(LookupRequest request, ServerCallContext context)
    {
        try
        {
            var answer = await store.LookupAsync(
                store.Session(request.Session), Encoding.UTF8.GetBytes(request.Tenant), request.Anonymous, request.Again, ToArray(request.Tokens), request.WaitMilliseconds, default,
                context.CancellationToken);
            var response = new LookupResponse { Lease = answer.Lease.ToString("x16", CultureInfo.InvariantCulture), StagingBlocks = (uint)answer.Staging };
            Add(response.Blocks, answer.Blocks.Span);
            return response;
        }
        catch (CacheException error)
        {
            throw new RpcException(new Status(error.Code, error.Message));
        }
    }

    public override Task<ReserveResponse> Reserve(ReserveRequest request, ServerCallContext context) => Answer(() =>
    {
        var response = new ReserveResponse();
        Add(response.Slots, [.. store.Reserve(request.Session, request.Tenant, request.Anonymous, request.Count)]);
        return response;
    });

    public override Task<CommitResponse> Commit(CommitRequest request, ServerCallContext context) => Answer(() => new CommitResponse
    {
        CachedBlocks = (uint)store.Commit(
            request.Session,
            request.Tenant,
            request.Anonymous,
            ToArray(request.Tokens),
            request.FirstBlock,
            Slots(request.Slots),
            request.Text.ToByteArray(),
            ToArray(request.TokenBytes)),
    });

    public override Task<ReleaseResponse> Release(ReleaseRequest request, ServerCallContext context) => Answer(() =>
    {
        store.Release(request.Session, LeaseNumber(request.Lease), Slots(request.Slots));
        return new ReleaseResponse();
    });

    public override Task<StatsResponse> Stats(StatsRequest request, ServerCallContext context) => Answer(() => store.Stats(request.Session));

    public override async Task<EvictResponse> Evict(EvictRequest request, ServerCallContext context)
    {
        try
        {
            return new EvictResponse { Blocks = (ulong)await store.EvictAsync(request.Session, request.Tenant, context.CancellationToken) };
        }
        catch (CacheException error)
        {
            throw new RpcException(new Status(error.Code, error.Message));
        }
    }

    private static Task<T> Answer<T>(Func<T> call)
    {
        try
        {
            return Task.FromResult(call());
        }
        catch (CacheException error)
        {
            throw new RpcException(new Status(error.Code, error.Message));
        }
    }

    // What is no number was never a lease, which is no error.
    internal static ulong LeaseNumber(string lease) => ulong.TryParse(lease, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private static uint[] ToArray(RepeatedField<uint> values)
    {
        var array = new uint[values.Count];
        values.CopyTo(array, 0);
        return array;
    }

    internal static SlotRef[] Slots(RepeatedField<Slot> slots)
    {
        var array = new SlotRef[slots.Count];
        for (var index = 0; index < array.Length; index++)
            array[index] = new SlotRef(unchecked((int)slots[index].Index), slots[index].Generation);
        return array;
    }

    private static void Add(RepeatedField<Slot> target, ReadOnlySpan<SlotRef> slots)
    {
        target.Capacity = slots.Length;
        foreach (var slot in slots)
            target.Add(new Slot { Index = (uint)slot.Index, Generation = slot.Generation });
    }
}
