using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.Extensions.Logging;
using Moebius.Crds.Host;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.KvClient;

/// <summary>
/// The prefix cache in the SafeKV sidecar, over its Unix socket. Without the sidecar the engine runs on: why is said
/// once, and again when the reason changes, and the sidecar is tried again with growing pauses.
/// </summary>
internal sealed class SidecarCache : IPrefixCache, IAsyncDisposable
{
    private const uint ProtocolVersion = 1;
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);

    private readonly string _socket;
    private readonly ModelInfo _model;
    private readonly TimeProvider _clock;
    private readonly ILogger _logger;
    private readonly GrpcChannel _channel;
    private readonly KvCache.KvCacheClient _client;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _loop;
    private readonly TaskCompletionSource _tried = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile CacheSession? _session;
    private string? _told;

    public SidecarCache(string socket, ModelInfo model, TimeProvider clock, ILogger logger)
    {
        _socket = socket;
        _model = model;
        _clock = clock;
        _logger = logger;
        _channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            HttpHandler = UnixSockets.Handler(socket),
            DisposeHttpClient = true,
        });
        _client = new KvCache.KvCacheClient(_channel);
        _loop = Task.Run(RunAsync);
    }

    /// <summary>Whether the sidecar answers.</summary>
    public bool Connected => _session is { Alive: true };

    /// <summary>Waits until the sidecar was reached, or could not be at the first attempt, or for so long.</summary>
    public async Task FirstAttemptAsync(TimeSpan patience)
    {
        try
        {
            await _tried.Task.WaitAsync(patience, _clock).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // Requests run without it until it answers.
        }
    }

    public async Task<IPrefixLease?> LookupAsync(Tenant tenant, ReadOnlyMemory<int> tokens, bool again, CancellationToken stop) =>
        _session is { Alive: true } current ? await Try(() => current.LookupAsync(tenant, tokens, again, stop)).ConfigureAwait(false) : null;

    public async Task<IBlockReservation?> ReserveAsync(Tenant tenant, int blocks, CancellationToken stop) =>
        _session is { Alive: true } current ? await Try(() => current.ReserveAsync(tenant, blocks, stop)).ConfigureAwait(false) : null;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        _channel.Dispose();
        _stop.Dispose();
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
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await SessionAsync(() => failures = 0).ConfigureAwait(false);
                Report("it ended the session");
            }
            catch (Exception error)
            {
                // Whatever it said or did, requests go on, and it is tried again.
                if (_stop.IsCancellationRequested)
                    return;
                Report(Reason(error), error is RpcException or IOException or UnauthorizedAccessException ? null : error);
            }

            _tried.TrySetResult();
            try
            {
                await Task.Delay(Pause(failures++), _clock, _stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private async Task SessionAsync(Action connected)
    {
        var attached = await _client.AttachAsync(
            new AttachRequest
            {
                ProtocolVersion = ProtocolVersion,
                Fingerprint = Google.Protobuf.ByteString.CopyFrom(_model.Fingerprint.Value.Span),
                BlockTokens = (uint)_model.BlockTokens,
                BlockBytes = (ulong)_model.BlockBytes,
                EngineId = Environment.MachineName,
            },
            new CallOptions(deadline: DateTime.UtcNow.AddSeconds(5), cancellationToken: _stop.Token)).ConfigureAwait(false);
        using var opened = new CacheSession(_client, attached, _model.BlockBytes);
        try
        {
            await opened.HoldAsync(
                async () =>
                {
                    await opened.WarmUpAsync(_stop.Token).ConfigureAwait(false);
                    _session = opened;
                    _told = null;
                    connected();
                    _logger.LogInformation("The prefix cache is connected: {Slots} blocks of {Tokens} tokens, arena epoch {Epoch}", opened.Slots, _model.BlockTokens, opened.Epoch);
                    _tried.TrySetResult();
                },
                _stop.Token).ConfigureAwait(false);
        }
        finally
        {
            _session = null;
        }
    }

    private string Reason(Exception error) => error switch
    {
        // The transport speaks of an address that nobody named.
        RpcException { StatusCode: StatusCode.Unavailable } when !File.Exists(_socket) => "there is no such socket",
        RpcException { Status.Detail: "" } call => call.StatusCode.ToString(),
        RpcException call => call.Status.Detail,
        _ => error.Message,
    };

    /// <param name="reason">Why there is no cache; the same as before is not repeated.</param>
    /// <param name="unexpected">What nobody foresaw, to be logged with where it came from.</param>
    private void Report(string reason, Exception? unexpected = null)
    {
        if (reason == _told)
            return;
        _told = reason;
        _logger.LogWarning(unexpected, "The prefix cache at {Socket} is not available ({Reason}): requests run without it until it comes back", _socket, reason);
    }
}
