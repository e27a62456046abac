using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Hot;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Tiers;
using Prometheus;

namespace Moebius.KvCache.Service;

/// <summary>The process: one Unix socket for the engine and, if asked for, one port for probes and metrics.</summary>
internal sealed class KvCacheServer : IAsyncDisposable
{
    // A prompt of a million tokens with its text fits; what does not is refused by gRPC itself.
    private const int MaxMessageBytes = 32 << 20;

    /// <summary>Appended to the socket's path for the hot socket.</summary>
    private const string HotSuffix = ".hot";

    private const int LongestSocket = 107;

    private readonly WebApplication _app;
    private readonly HotServer _hot;
    private readonly ILoggerFactory _loggers;
    private readonly string _socketPath;

    private KvCacheServer(WebApplication app, HotServer hot, CacheStore store, CacheMetrics metrics, PolicySource policy, ILoggerFactory loggers, string socketPath)
    {
        _app = app;
        _hot = hot;
        _loggers = loggers;
        Store = store;
        Metrics = metrics;
        Policy = policy;
        _socketPath = socketPath;
    }

    public CacheStore Store { get; }

    public CacheMetrics Metrics { get; }

    public PolicySource Policy { get; }

    /// <summary>Where health and metrics are served, with the port that was given out when 0 was asked for.</summary>
    public IEnumerable<string> Addresses => _app.Urls;

    /// <exception cref="UserInputException">The socket is taken, the arena does not fit, the policy is bad, the port is taken.</exception>
    public static async Task<KvCacheServer> StartAsync(ServerOptions options, TimeProvider time, CancellationToken cancel)
    {
        ClaimSocket(options.SocketPath);

        var builder = Builder(options);
        var loggers = LoggerFactory.Create(logging => AddConsole(logging, options));
        var metrics = new CacheMetrics();
        var policy = new PolicySource(
            options.PolicyPath, metrics, loggers.CreateLogger("Moebius.KvCache.Policy"), new TierFactory(options.ClassifierRoot, options.ContextKey, metrics, time));
        var logger = loggers.CreateLogger("Moebius.KvCache");
        var master = options.EncryptionKeyPath is null ? null : MasterSecret.Load(options.EncryptionKeyPath);
        var ssd = options.SsdPath is null ? null : SsdTier.Open(options.SsdPath, options.SsdBytes, master?.Check ?? 0, time, logger, options.Disk);
        ArenaFile arena;
        try
        {
            arena = ArenaFile.Create(options.ArenaPath, options.ArenaBytes);
        }
        catch
        {
            ssd?.Dispose();
            throw;
        }

        WebApplication? app = null;
        HotServer? hot = null;
        var store = new CacheStore(arena, policy, options.BlockTokens, metrics, time, logger,
            ssd, options.Shared is null ? null : tierMetrics => SharedTier.Open(options.Shared, tierMetrics, time, logger), master);
        try
        {
            builder.Services.AddSingleton(store);
            app = builder.Build();
            app.Use(OnlyOnItsOwnListener);
            app.MapGrpcService<KvCacheService>();
            app.MapGet("/healthz", () => "ok");
            app.MapGet("/readyz", () => string.Join('\n', store.TierStates.Prepend("ok")));
            app.MapMetrics("/metrics", metrics.Registry);
            store.Start();
            hot = HotServer.Start(options.SocketPath + HotSuffix, store, logger);
            store.HotSocketPath = options.SocketPath + HotSuffix;
            await app.StartAsync(cancel);
            File.SetUnixFileMode(options.SocketPath, SharedFiles.Mode);
            logger.LogInformation("Serving on {Socket} with an arena of {Bytes} at {Arena}", options.SocketPath, Quantities.Format(options.ArenaBytes), options.ArenaPath);
            arena.UseHugePages(huge => logger.LogInformation("{Huge} of the arena lie in huge pages", Quantities.Format(huge)));
            return new KvCacheServer(app, hot, store, metrics, policy, loggers, options.SocketPath);
        }
        catch (Exception error)
        {
            if (app is not null)
                await app.DisposeAsync();
            hot?.Dispose();
            await store.DisposeAsync();
            loggers.Dispose();
            if (error is IOException or SocketException)
                throw new UserInputException($"--socket, --listen: cannot listen on '{options.SocketPath}'{(options.Listen is null ? "" : $" and {options.Listen}")}: {error.Message}", error);
            throw;
        }
    }

    /// <summary>Whether a socket's path, and the hot one's, have the length that the system allows.</summary>
    public static bool FitsSocket(string path) => path.Length + HotSuffix.Length <= LongestSocket;

    public Task WaitForShutdownAsync(CancellationToken cancel) => _app.WaitForShutdownAsync(cancel);

    public async ValueTask DisposeAsync()
    {
        // Open Hold calls end with the host's stop; a short wait is enough for calls in flight.
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        await _app.StopAsync(patience.Token);
        await _app.DisposeAsync();
        _hot.Dispose();
        await Store.DisposeAsync();
        _loggers.Dispose();
        File.Delete(_socketPath);
    }

    private static void AddConsole(ILoggingBuilder logging, ServerOptions options)
    {
        if (!options.IsSilent)
            logging.AddLines(options.LogFormat);
    }

    private static WebApplicationBuilder Builder(ServerOptions options)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        AddConsole(builder.Logging, options);
        // What keeps the host from starting is thrown, and told in one line.
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning).AddFilter("Grpc", LogLevel.Warning).AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
        // What a client sent is never logged: gRPC's own messages quote details of errors only.
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = null;
            // Of each listener: on the socket an engine has one or two.
            kestrel.Limits.MaxConcurrentConnections = ServerLimits.Programs;
            kestrel.ListenUnixSocket(options.SocketPath, socket => socket.Protocols = HttpProtocols.Http2);
            if (options.Listen is not null)
                kestrel.Listen(options.Listen, port => port.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddGrpc(grpc =>
        {
            grpc.MaxReceiveMessageSize = MaxMessageBytes;
            grpc.EnableDetailedErrors = false;
        });
        return builder;
    }

    /// <summary>Makes way for the socket, unless another server answers on it.</summary>
    private static void ClaimSocket(string path)
    {
        var folder = Path.GetDirectoryName(path)!;
        if (!Directory.Exists(folder))
            throw new UserInputException($"--socket: folder '{folder}' does not exist: create it");
        if (!FitsSocket(path))
            throw new UserInputException($"--socket: '{path}' has {path.Length} characters, it may have {LongestSocket - HotSuffix.Length}: use a shorter one");
        if (!File.Exists(path))
            return;
        if ((File.GetAttributes(path) & FileAttributes.Directory) != 0)
            throw new UserInputException($"--socket: '{path}' is a folder: give the path of the socket itself");
        try
        {
            using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
            return;
        }
        catch (SocketException error)
        {
            throw new UserInputException($"--socket: '{path}' exists and is not a socket of this program: {error.Message}", error);
        }

        throw new UserInputException($"--socket: another server is listening on '{path}': stop it, or use another path");
    }

    /// <summary>The cache is not to be had through the port, and the port's pages not through the socket.</summary>
    private static Task OnlyOnItsOwnListener(HttpContext context, RequestDelegate next)
    {
        var overSocket = context.Connection.LocalIpAddress is null;
        var isCache = context.Request.Path.StartsWithSegments("/moebius.kvcache.v1.KvCache");
        if (overSocket == isCache)
            return next(context);
        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }
}
