using System.Net.Sockets;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.Extensions.Logging;
using Moebius.Inference.Models;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.KvClient;

/// <summary>
/// The prefix cache in the SafeKV sidecar. Attaches in the background and again, with back-off, whenever the sidecar
/// goes away; meanwhile lookups miss and commits do nothing.
/// </summary>
internal sealed class SidecarPrefixCache : IPrefixCache
{
    private const uint ProtocolVersion = 1;
    private static readonly TimeSpan CallLimit = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan ShortestBackOff = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestBackOff = TimeSpan.FromSeconds(5);

    private readonly ModelInfo model;
    private readonly string engineId;
    private readonly ILogger logger;
    private readonly GrpcChannel channel;
    private readonly CancellationTokenSource stop = new();
    private readonly TaskCompletionSource attached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task connection;
    private volatile SidecarSession? session;

    /// <summary>Starts attaching.</summary>
    /// <param name="socket">Path of the sidecar's Unix socket.</param>
    /// <param name="model">Whose blocks are cached.</param>
    /// <param name="engineId">A name for the sidecar's logs.</param>
    /// <param name="logger">Told once per outage, never about a request.</param>
    public SidecarPrefixCache(string socket, ModelInfo model, string engineId, ILogger logger)
    {
        this.model = model;
        this.engineId = engineId;
        this.logger = logger;
        channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            HttpHandler = new SocketsHttpHandler { ConnectCallback = (_, cancel) => ConnectAsync(socket, cancel) },
            MaxReceiveMessageSize = null,
            MaxSendMessageSize = null,
            DisposeHttpClient = true,
        });
        connection = Task.Run(() => StayAttachedAsync(socket));
    }

    public async Task<bool> WaitUntilUsableAsync(TimeSpan limit, CancellationToken stop)
    {
        try
        {
            await attached.Task.WaitAsync(limit, stop).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    public IPrefixHit Lookup(TenantId tenant, ReadOnlySpan<int> tokens)
    {
        if (tokens.Length < model.BlockTokens || session is not { } current || !current.TryEnter())
            return NoPrefixCache.Instance;
        var request = new LookupRequest { Session = current.Id, Tenant = tenant.Name, Anonymous = tenant.Anonymous };
        AddTokens(request.Tokens, tokens);
        try
        {
            return new Hit(this, current, current.Client.Lookup(request, deadline: Deadline()));
        }
        catch (RpcException error)
        {
            current.Dispose();
            Failed(error);
            return NoPrefixCache.Instance;
        }
    }

    public int Commit(TenantId tenant, ISequenceKv kv, PrefixText prefix, int firstBlock, int blocks)
    {
        if (session is not { } current || !current.TryEnter())
            return firstBlock;
        try
        {
            return Commit(current, tenant, kv, prefix, firstBlock, blocks);
        }
        catch (RpcException error)
        {
            Failed(error);
            return firstBlock;
        }
        finally
        {
            current.Dispose();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync().ConfigureAwait(false);
        await connection.ConfigureAwait(false);
        channel.Dispose();
        stop.Dispose();
    }

    private static async ValueTask<Stream> ConnectAsync(string socket, CancellationToken cancel)
    {
        var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await connection.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancel).ConfigureAwait(false);
            return new NetworkStream(connection, ownsSocket: true);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private static DateTime Deadline() => DateTime.UtcNow + CallLimit;

    private static void AddTokens(Google.Protobuf.Collections.RepeatedField<uint> field, ReadOnlySpan<int> tokens)
    {
        field.Capacity = tokens.Length;
        foreach (var token in tokens)
            field.Add((uint)token);
    }

    private int Commit(SidecarSession current, TenantId tenant, ISequenceKv kv, PrefixText prefix, int firstBlock, int blocks)
    {
        var reserved = current.Client.Reserve(
            new ReserveRequest { Session = current.Id, Tenant = tenant.Name, Anonymous = tenant.Anonymous, Count = (uint)blocks },
            deadline: Deadline()).Slots;
        if (reserved.Count == 0)
            return firstBlock;

        for (var i = 0; i < reserved.Count; i++)
            kv.ExportBlock(firstBlock + i, current.Arena.Block(reserved[i].Index));

        // Fewer slots than asked for: only the leading blocks are cached.
        var length = (firstBlock + reserved.Count) * model.BlockTokens;
        var bytes = 0;
        foreach (var count in prefix.TokenBytes[..length])
            bytes += count;
        var request = new CommitRequest
        {
            Session = current.Id,
            Tenant = tenant.Name,
            Anonymous = tenant.Anonymous,
            FirstBlock = (uint)firstBlock,
            Text = ByteString.CopyFrom(prefix.Utf8[..bytes]),
        };
        AddTokens(request.Tokens, prefix.Tokens[..length]);
        AddTokens(request.TokenBytes, prefix.TokenBytes[..length]);
        request.Slots.AddRange(reserved);
        return (int)current.Client.Commit(request, deadline: Deadline()).CachedBlocks;
    }

    private async Task StayAttachedAsync(string socket)
    {
        var backOff = ShortestBackOff;
        var reported = false;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                using var current = await AttachAsync().ConfigureAwait(false);
                using var hold = current.Client.Hold(new HoldRequest { Session = current.Id }, cancellationToken: stop.Token);
                while (await hold.ResponseStream.MoveNext(stop.Token).ConfigureAwait(false))
                {
                    if (session is not null)
                        continue;
                    session = current;
                    backOff = ShortestBackOff;
                    reported = false;
                    attached.TrySetResult();
                    logger.LogInformation("KV cache attached at {Socket}", socket);
                }
            }
            catch (Exception error) when (error is RpcException or IOException or SocketException or OperationCanceledException)
            {
                if (!stop.IsCancellationRequested && !reported)
                {
                    reported = true;
                    logger.LogWarning("KV cache at {Socket} is not available, going on without it: {Reason}", socket, error is RpcException rpc ? rpc.Status.Detail : error.Message);
                }
            }

            session = null;
            try
            {
                await Task.Delay(backOff, stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            backOff = backOff * 2 < LongestBackOff ? backOff * 2 : LongestBackOff;
        }
    }

    private async Task<SidecarSession> AttachAsync()
    {
        var client = new Kvcache.V1.KvCache.KvCacheClient(channel);
        var answer = await client.AttachAsync(
            new AttachRequest
            {
                ProtocolVersion = ProtocolVersion,
                Fingerprint = ByteString.CopyFrom(model.Fingerprint.Span),
                BlockTokens = (uint)model.BlockTokens,
                BlockBytes = (ulong)model.BlockBytes,
                EngineId = engineId,
            },
            deadline: DateTime.UtcNow + LongestBackOff,
            cancellationToken: stop.Token).ConfigureAwait(false);
        return new SidecarSession(
            answer.Session,
            new ArenaView(answer.ArenaPath, (long)answer.ArenaBytes, (long)answer.SlotBytes, (long)answer.GenerationTableOffset, model.BlockBytes),
            client);
    }

    private void Failed(RpcException error) =>
        logger.LogDebug("KV cache call failed: {Status}", error.StatusCode);

    /// <summary>Blocks under a lease.</summary>
    private sealed class Hit(SidecarPrefixCache cache, SidecarSession session, LookupResponse answer) : IPrefixHit
    {
        private bool disposed;

        public int Blocks => answer.Blocks.Count;

        public int CopyTo(ISequenceKv kv, int blocks)
        {
            for (var i = 0; i < blocks; i++)
            {
                var slot = answer.Blocks[i];
                kv.ImportBlock(session.Arena.Block(slot.Index));
                // The lease keeps the slot, unless the sidecar lost the session meanwhile.
                if (session.Arena.Generation(slot.Index) == slot.Generation)
                    continue;
                kv.Truncate(i * cache.model.BlockTokens);
                return i;
            }

            return blocks;
        }

        public void Dispose()
        {
            if (disposed)
                return;
            disposed = true;
            try
            {
                session.Client.Release(new ReleaseRequest { Session = session.Id, Lease = answer.Lease }, deadline: Deadline());
            }
            catch (RpcException error)
            {
                cache.Failed(error);
            }
            finally
            {
                session.Dispose();
            }
        }
    }
}
