using System.Net.Sockets;
using Grpc.Core;
using Moebius.Inference.Engine;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.KvClient;

/// <summary>
/// One attachment to the sidecar: from Attach until its Hold stream ends. Leases and reservations die with it.
/// </summary>
internal sealed class CacheSession : IDisposable
{
    /// <summary>How long one call may take before the request goes on without the cache.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(2);

    /// <summary>How long a lookup may wait for blocks that come from the sidecar's disk or from another pod: less than computing them takes.</summary>
    private static readonly TimeSpan StagingWait = TimeSpan.FromSeconds(1);

    /// <summary>How long the stream may outlive the hot socket.</summary>
    private static readonly TimeSpan Parting = TimeSpan.FromMilliseconds(100);

    /// <summary>Calls that may be unanswered after their time. A sidecar that owes so many answers is asked for nothing more until it has given some.</summary>
    public const int MostLate = 16;

    private readonly KvCache.KvCacheClient _client;
    private readonly HotChannel? _hot;
    private readonly string _id;
    private readonly uint _slots;
    private readonly CancellationTokenSource _ended = new();
    private readonly CancellationToken _end;
    private int _late;

    /// <param name="client">The calls.</param>
    /// <param name="attached">The sidecar's answer to Attach.</param>
    /// <param name="blockBytes">Bytes of one block.</param>
    public CacheSession(KvCache.KvCacheClient client, AttachResponse attached, int blockBytes)
    {
        BlockBytes = blockBytes;
        _client = client;
        _id = attached.Session;
        _slots = attached.SlotCount;
        Epoch = attached.ArenaEpoch;
        // First: where it cannot be opened, nobody would close the channel.
        Arena = new ArenaFile(attached.ArenaPath, checked((long)attached.ArenaBytes), checked((long)attached.SlotBytes), attached.SlotCount);
        _end = _ended.Token;
        _hot = Hot(attached.HotSocketPath);
    }

    public ArenaFile Arena { get; }

    public int BlockBytes { get; }

    public ulong Epoch { get; }

    public uint Slots => _slots;

    /// <summary>False once the stream has ended: whatever the arena holds then may be somebody else's.</summary>
    public bool Alive { get; private set; } = true;

    /// <summary>Waits until the session has ended; says when the sidecar has accepted it.</summary>
    /// <exception cref="IOException">
    /// The hot socket's connection broke. With it go leases whose answers or releases were on their way: only the session's end gives
    /// them back.
    /// </exception>
    public async Task HoldAsync(Func<Task> accepted, CancellationToken stop)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var held = HoldStreamAsync(accepted, over.Token);
        try
        {
            if (await Task.WhenAny(held, HotBrokenAsync()).ConfigureAwait(false) == held)
            {
                await held.ConfigureAwait(false);
                return;
            }

            await over.CancelAsync().ConfigureAwait(false);
            await Task.WhenAny(held).ConfigureAwait(false);
            throw new IOException("the connection for lookups broke");
        }
        finally
        {
            Alive = false;
        }
    }

    /// <summary>Never ends where there is no hot socket. A sidecar that ends closes the stream too, a moment later, and its end says more.</summary>
    private async Task HotBrokenAsync()
    {
        await (_hot?.Ended ?? Task.Delay(Timeout.Infinite, _end)).ConfigureAwait(false);
        await Task.Delay(Parting, _end).ConfigureAwait(false);
    }

    private async Task HoldStreamAsync(Func<Task> accepted, CancellationToken stop)
    {
        using var call = _client.Hold(new HoldRequest { Session = _id }, cancellationToken: stop);
        while (await call.ResponseStream.MoveNext(stop).ConfigureAwait(false))
        {
            await accepted().ConfigureAwait(false);
            _ = Task.Run(() => Populate(stop), CancellationToken.None);
        }
    }

    /// <summary>
    /// Asks for nothing once in each way, so that the code behind the calls is compiled before the first prompt. The
    /// sidecar refuses a reservation and a commit of nothing, which is the answer that is wanted.
    /// </summary>
    public async Task WarmUpAsync(CancellationToken stop)
    {
        var nobody = new Tenant("warm-up", Anonymous: true);
        try
        {
            Release(await LookupFoundAsync(nobody, default, again: false, stop).ConfigureAwait(false));
            await RefusedAsync(() => _client.ReserveAsync(new ReserveRequest { Session = _id, Tenant = nobody.Name, Anonymous = true }, Options(stop))).ConfigureAwait(false);
            await RefusedAsync(() => _client.CommitAsync(new CommitRequest { Session = _id, Tenant = nobody.Name, Anonymous = true }, Options(stop))).ConfigureAwait(false);
        }
        catch (RpcException)
        {
            // A sidecar that does not answer is noticed where it matters.
        }
    }

    public async Task<IPrefixLease?> LookupAsync(Tenant tenant, ReadOnlyMemory<int> tokens, bool again, CancellationToken stop)
    {
        var found = await LookupFoundAsync(tenant, tokens, again, stop).ConfigureAwait(false);
        if (found.Slots.Length > 0 && Arena.TryHold())
            return new PrefixLease(this, found);
        Release(found);
        return null;
    }

    public async Task<IBlockReservation?> ReserveAsync(Tenant tenant, int blocks, CancellationToken stop)
    {
        var request = new ReserveRequest { Session = _id, Tenant = tenant.Name, Anonymous = tenant.Anonymous, Count = Math.Min((uint)blocks, _slots) };
        var reserved = await InTimeAsync(options => _client.ReserveAsync(request, options), late => Release(new ReleaseRequest { Slots = { late.Slots } }), stop).ConfigureAwait(false);
        return reserved.Slots.Count > 0 && Arena.TryHold() ? new BlockReservation(this, tenant, reserved) : null;
    }

    /// <summary>Publishes blocks. Answers whether all of them, and all before them, are cached now.</summary>
    public async Task<bool> CommitAsync(CommitRequest request, CancellationToken stop)
    {
        request.Session = _id;
        var committed = await _client.CommitAsync(request, Options(stop)).ConfigureAwait(false);
        return committed.CachedBlocks >= request.FirstBlock + request.Slots.Count;
    }

    /// <summary>Ends a lease, without waiting.</summary>
    public void Release(FoundBlocks found)
    {
        if (!Alive)
            return;
        if (_hot is { Alive: true })
            _hot.Release(_id, found.Lease);
        else
            Release(found.Release);
    }

    /// <summary>Gives slots back, without waiting: the session's end gives them back too.</summary>
    public void Release(ReleaseRequest request)
    {
        if (!Alive)
            return;
        request.Session = _id;
        if (_hot is { Alive: true })
            _hot.Release(request);
        else
            _ = ReleaseAsync(request);
    }

    public void Dispose()
    {
        Alive = false;
        // What is late now was given back with the session.
        _ended.Cancel();
        _ended.Dispose();
        _hot?.Dispose();
        Arena.Dispose();
    }

    private void Populate(CancellationToken stop)
    {
        if (!Arena.TryHold())
            return;
        Arena.Populate(stop);
        Arena.EndHold();
    }

    private HotChannel? Hot(string path)
    {
        try
        {
            return path.Length == 0 ? null : new HotChannel(path) { Late = Release };
        }
        catch (SocketException)
        {
            // A sidecar behind a socket that is not there is still reached by gRPC.
            return null;
        }
    }

    private Task<FoundBlocks> LookupFoundAsync(Tenant tenant, ReadOnlyMemory<int> tokens, bool again, CancellationToken stop) => _hot is { Alive: true }
        ? _hot.LookupAsync(_id, tenant, tokens, again, StagingWait, Deadline, stop)
        : LookupByGrpcAsync(tenant, tokens, again, stop);

    private static async Task RefusedAsync<T>(Func<AsyncUnaryCall<T>> call)
    {
        try
        {
            await call().ConfigureAwait(false);
        }
        catch (RpcException error) when (error.StatusCode == StatusCode.InvalidArgument)
        {
        }
    }

    private async Task<FoundBlocks> LookupByGrpcAsync(Tenant tenant, ReadOnlyMemory<int> tokens, bool again, CancellationToken stop)
    {
        var request = new LookupRequest { Session = _id, Tenant = tenant.Name, Anonymous = tenant.Anonymous, Again = again, WaitMilliseconds = (uint)StagingWait.TotalMilliseconds };
        foreach (var token in tokens.Span)
            request.Tokens.Add((uint)token);
        return FoundBlocks.Of(await InTimeAsync(options => _client.LookupAsync(request, options), late => Release(FoundBlocks.Of(late)), stop).ConfigureAwait(false));
    }

    /// <summary>
    /// Waits for an answer as long as a request does. The call itself goes on: what the sidecar keeps for it is only known
    /// from its answer, and would stay taken until the session ends.
    /// </summary>
    /// <param name="begin">Makes the call.</param>
    /// <param name="giveBack">Told about an answer that comes too late.</param>
    /// <param name="stop">Ends the waiting.</param>
    /// <exception cref="RpcException">The sidecar's answer, or there is none.</exception>
    private async Task<T> InTimeAsync<T>(Func<CallOptions, AsyncUnaryCall<T>> begin, Action<T> giveBack, CancellationToken stop)
    {
        if (Volatile.Read(ref _late) >= MostLate)
            throw new RpcException(new Status(StatusCode.Unavailable, $"the sidecar owes {MostLate} answers"));
        var answer = begin(new CallOptions(cancellationToken: _end)).ResponseAsync;
        try
        {
            return await answer.WaitAsync(Deadline, stop).ConfigureAwait(false);
        }
        catch (Exception error) when (error is TimeoutException or OperationCanceledException)
        {
            _ = LateAsync(answer, giveBack);
            throw new RpcException(new Status(error is TimeoutException ? StatusCode.DeadlineExceeded : StatusCode.Cancelled, "the sidecar did not answer in time"));
        }
    }

    private async Task LateAsync<T>(Task<T> answer, Action<T> giveBack)
    {
        Interlocked.Increment(ref _late);
        try
        {
            giveBack(await answer.ConfigureAwait(false));
        }
        catch (Exception error) when (error is RpcException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // It has kept nothing, or the session has ended.
        }
        finally
        {
            Interlocked.Decrement(ref _late);
        }
    }

    private async Task ReleaseAsync(ReleaseRequest request)
    {
        try
        {
            await _client.ReleaseAsync(request, Options(CancellationToken.None)).ConfigureAwait(false);
        }
        catch (Exception error) when (error is RpcException or ObjectDisposedException or InvalidOperationException)
        {
            // The sidecar reclaims it when the session ends.
        }
    }

    private static CallOptions Options(CancellationToken stop) => new(deadline: DateTime.UtcNow + Deadline, cancellationToken: stop);
}
