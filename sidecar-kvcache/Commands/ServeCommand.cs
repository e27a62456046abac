using System.CommandLine;
using System.Globalization;
using System.Net;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.Validation;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Commands;

/// <summary><c>moebius kvcache serve</c>.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        var socket = new Option<string>("--socket") { Description = "Unix socket to serve the engine on.", Required = true, HelpName = "PATH" };
        var arena = new Option<string>("--arena") { Description = "Shared-memory file to create, or an existing folder to create it in.", Required = true, HelpName = "PATH" };
        var arenaSize = new Option<string?>("--arena-size") { Description = "Size of the arena, such as 512Mi. Default: kvCache.memory of the configuration.", HelpName = "QUANTITY" };
        var config = new Option<string?>("--config") { Description = "Configuration file (YAML).", HelpName = "FILE" };
        var policy = new Option<string?>("--policy") { Description = "KVPrivacyPolicy manifest; taken up again when it changes. Without one nothing is shared.", HelpName = "FILE" };
        var listen = new Option<string?>("--listen") { Description = "Address for /healthz, /readyz and /metrics, such as 0.0.0.0:9401. Default: none.", HelpName = "HOST:PORT" };
        var command = new Command("serve", "Serve the KV cache to an inference engine.") { socket, arena, arenaSize, config, policy, listen };
        command.SetAction((result, cancel) => ServeAsync(
            Options(result.GetValue(socket)!, result.GetValue(arena)!, result.GetValue(arenaSize), result.GetValue(config), result.GetValue(policy), result.GetValue(listen)),
            cancel));
        return new Command("kvcache", "The KV cache beside an inference engine (SafeKV).") { command };
    }

    internal static ServerOptions Options(string socket, string arena, string? arenaSize, string? configFile, string? policy, string? listen)
    {
        var config = configFile is null ? null : Manifests.LoadFile<KVCacheConfig>(configFile).KVCache;
        if (config is not null)
        {
            SpecCheck.Require(config, "kvCache", configFile!);
            Refuse(!config.Enabled, $"{configFile}: kvCache.enabled: false, but this process is the cache: do not start it");
            Refuse(config.Ssd is not null, $"{configFile}: kvCache.ssd: not available in this version: remove it");
            Refuse(config.Shared is not null, $"{configFile}: kvCache.shared: not available in this version: remove it");
        }

        var bytes = arenaSize is not null ? Quantities.ParseBytes(arenaSize, "--arena-size")
            : config is not null ? Quantities.Bytes(config.Memory, $"{configFile}: kvCache.memory")
            : throw new UserInputException("--arena-size: missing: give a size such as 512Mi, or a configuration with kvCache.memory");
        Refuse(bytes < 4096, $"{(arenaSize is not null ? "--arena-size" : $"{configFile}: kvCache.memory")}: {bytes} bytes, must be at least 4096");
        return new ServerOptions
        {
            SocketPath = Path.GetFullPath(socket),
            ArenaPath = Directory.Exists(arena) ? Path.Combine(Path.GetFullPath(arena), "kvcache.arena") : Path.GetFullPath(arena),
            ArenaBytes = bytes,
            BlockTokens = config?.BlockTokens,
            PolicyPath = policy,
            Listen = listen is null ? null : Endpoint(listen),
        };
    }

    private static async Task<int> ServeAsync(ServerOptions options, CancellationToken cancel)
    {
        await using var server = await KvCacheServer.StartAsync(options, TimeProvider.System, cancel);
        await server.WaitForShutdownAsync(cancel);
        return 0;
    }

    private static IPEndPoint Endpoint(string listen)
    {
        var colon = listen.LastIndexOf(':');
        if (colon > 0 && int.TryParse(listen.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port <= IPEndPoint.MaxPort)
        {
            var host = listen[..colon].Trim('[', ']');
            if (host is "localhost")
                return new IPEndPoint(IPAddress.Loopback, port);
            if (IPAddress.TryParse(host, out var address))
                return new IPEndPoint(address, port);
        }

        throw new UserInputException($"--listen: '{listen}' is not an address and port: write one such as 0.0.0.0:9401");
    }

    private static void Refuse(bool when, string message)
    {
        if (when)
            throw new UserInputException(message);
    }
}
