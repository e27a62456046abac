using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.Extensions.Logging;
using Moebius.Crds.Host;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.KvClient;

/// <summary>
/// The prefix cache in the SafeKV sidecar, over its Unix socket. Without the sidecar the engine runs on: that is said
/// once, and the sidecar is tried again with growing pauses.
/// </summary>
internal sealed class SidecarCache : IPrefixCache, IAsyncDisposable
{
    private const uint ProtocolVersion = 1;
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);

    private readonly string socket;
    private readonly ModelInfo model;
    private readonly TimeProvider clock;
    private readonly ILogger logger;
    private readonly GrpcChannel channel;
    private readonly KvCache.KvCacheClient client;
    private readonly CancellationTokenSource stop = new();
    private readonly Task loop;
    private readonly TaskCompletionSource tried = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile CacheSession? session;
    private bool reported;

    public SidecarCache(string socket, ModelInfo model, TimeProvider clock, ILogger logger)
    {
        this.socket = socket;
        this.model = model;
        this.clock = clock;
        this.logger = logger;
        channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            HttpHandler = UnixSockets.Handler(socket),
            DisposeHttpClient = true,
        });
        client = new KvCache.KvCacheClient(channel);
        loop = Task.Run(RunAsync);
    }

    /// <summary>Whether the sidecar answers.</summary>
    public bool Connected => session is { Alive: true };

    /// <summary>Waits until the sidecar was reached, or could not be at the first attempt, or for so long.</summary>
    public async Task FirstAttemptAsync(TimeSpan patience)
    {
        try
        {
            await tried.Task.WaitAsync(patience, clock).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // Requests run without it until it answers.
        }
    }

    public async Task<IPrefixLease?> LookupAsync(Tenant tenant, ReadOnlyMemory<int> tokens, CancellationToken stop) =>
        session is { Alive: true } current ? await Try(() => current.LookupAsync(tenant, tokens, stop)).ConfigureAwait(false) : null;

    public async Task<IBlockReservation?> ReserveAsync(Tenant tenant, int blocks, CancellationToken stop) =>
        session is { Alive: true } current ? await Try(() => current.ReserveAsync(tenant, blocks, stop)).ConfigureAwait(false) : null;

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync().ConfigureAwait(false);
        await loop.ConfigureAwait(false);
        channel.Dispose();
        stop.Dispose();
    }

    /// <summary>The pause before the next attempt: doubling, up to two seconds.</summary>
    public static TimeSpan Pause(int failures) =>
        TimeSpan.FromMilliseconds(Math.Min(LongestPause.TotalMilliseconds, 100 * Math.Pow(2, Math.Min(failures, 16))));

    private static async Task<T?> Try<T>(Func<Task<T?>> call) where T : class
    {
        try
        {
            return await call().ConfigureAwait(false);
        }
        catch (Exception error) when (error is RpcException or OperationCanceledException or ObjectDisposedException)
        {
            // The loop below notices a lost sidecar and says so; a single late answer is only a miss.
            return null;
        }
    }

    private async Task RunAsync()
    {
        var failures = 0;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await SessionAsync(() => failures = 0).ConfigureAwait(false);
                Report("it ended the session");
            }
            catch (Exception error) when (error is RpcException or IOException or UnauthorizedAccessException or OperationCanceledException or OverflowException)
            {
                if (stop.IsCancellationRequested)
                    return;
                Report(error switch
                {
                    // The transport speaks of an address that nobody named.
                    RpcException { StatusCode: StatusCode.Unavailable } when !File.Exists(socket) => "there is no such socket",
                    RpcException call => call.Status.Detail,
                    _ => error.Message,
                });
            }

            tried.TrySetResult();
            try
            {
                await Task.Delay(Pause(failures++), clock, stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private async Task SessionAsync(Action connected)
    {
        var attached = await client.AttachAsync(
            new AttachRequest
            {
                ProtocolVersion = ProtocolVersion,
                Fingerprint = Google.Protobuf.ByteString.CopyFrom(model.Fingerprint.Value.Span),
                BlockTokens = (uint)model.BlockTokens,
                BlockBytes = (ulong)model.BlockBytes,
                EngineId = Environment.MachineName,
            },
            new CallOptions(deadline: DateTime.UtcNow.AddSeconds(5), cancellationToken: stop.Token)).ConfigureAwait(false);
        using var opened = new CacheSession(client, attached, model.BlockBytes);
        try
        {
            await opened.HoldAsync(
                async () =>
                {
                    await opened.WarmUpAsync(stop.Token).ConfigureAwait(false);
                    session = opened;
                    reported = false;
                    connected();
                    logger.LogInformation("The prefix cache is connected: {Slots} blocks of {Tokens} tokens, arena epoch {Epoch}", opened.Slots, model.BlockTokens, opened.Epoch);
                    tried.TrySetResult();
                },
                stop.Token).ConfigureAwait(false);
        }
        finally
        {
            session = null;
        }
    }

    private void Report(string reason)
    {
        if (reported)
            return;
        reported = true;
        logger.LogWarning("The prefix cache at {Socket} is not available ({Reason}): requests run without it until it comes back", socket, reason);
    }
}
