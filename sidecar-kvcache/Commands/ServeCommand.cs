using System.CommandLine;
using System.Globalization;
using System.Net;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.KvCache.Detection;
using Moebius.KvCache.Service;
using Moebius.KvCache.Tiers;

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
        var ssd = new Option<string?>("--ssd") { Description = "Folder for a second tier on disk. Its size is --ssd-size, or kvCache.ssd.size of the configuration.", HelpName = "FOLDER" };
        var ssdSize = new Option<string?>("--ssd-size") { Description = "Bytes that the second tier may use, such as 20Gi.", HelpName = "QUANTITY" };
        var key = new Option<string?>("--encryption-key") { Description = "File with at least 32 random bytes, from which tenants' keys are derived. Without it private blocks do not leave the arena.", HelpName = "FILE" };
        var shared = new Option<string?>("--shared") { Description = $"Server that speaks the Redis protocol, for a tier between pods; its password comes in {ContainerVariables.SharedPassword}. Default: kvCache.shared of the configuration.", HelpName = "HOST:PORT" };
        var classifiers = ClassifierRoot();
        var logFormat = ConsoleLog.Option();
        var command = new Command("serve", "Serve the KV cache to an inference engine.") { socket, arena, arenaSize, config, policy, listen, ssd, ssdSize, key, shared, classifiers, logFormat };
        command.SetAction((result, cancel) => ServeAsync(
            Options(
                result.GetValue(socket)!,
                result.GetValue(arena)!,
                result.GetValue(arenaSize),
                result.GetValue(config),
                result.GetValue(policy),
                result.GetValue(listen),
                new TierArguments(result.GetValue(ssd), result.GetValue(ssdSize), result.GetValue(key), result.GetValue(shared))) with
            {
                ClassifierRoot = result.GetValue(classifiers)!,
                LogFormat = ConsoleLog.Parse(result.GetValue(logFormat)!),
                ContextKey = Environment.GetEnvironmentVariable(ContainerVariables.ContextCheckKey),
            },
            cancel));
        return new Command("kvcache", "The KV cache beside an inference engine (SafeKV).") { command };
    }

    /// <summary>The option that both verbs have: where ONNX classifiers are.</summary>
    internal static Option<string> ClassifierRoot() => new("--classifier-root")
    {
        Description = "Folder in which spec.classifier.onnx.path of the policy is looked for.",
        DefaultValueFactory = _ => TierFactory.DefaultClassifierRoot,
        HelpName = "FOLDER",
    };

    internal static ServerOptions Options(string socket, string arena, string? arenaSize, string? configFile, string? policy, string? listen, TierArguments tiers = default)
    {
        var config = configFile is null ? null : Manifests.LoadFile<KVCacheConfig>(configFile).KVCache;
        if (config is not null)
        {
            SpecCheck.Require(config, "kvCache", configFile!);
            Refuse(!config.Enabled, $"{configFile}: kvCache.enabled: false, but this process is the cache: do not start it");
        }

        var bytes = arenaSize is not null ? Quantities.ParseBytes(arenaSize, "--arena-size")
            : config is not null ? Quantities.Bytes(config.Memory, $"{configFile}: kvCache.memory")
            : throw new UserInputException("--arena-size: missing: give a size such as 512Mi, or a configuration with kvCache.memory");
        Refuse(bytes < 4096, $"{(arenaSize is not null ? "--arena-size" : $"{configFile}: kvCache.memory")}: {bytes} bytes, must be at least 4096");
        var ssdBytes = SsdBytes(tiers, config, configFile);
        var shared = Shared(tiers, config, configFile);
        Refuse(tiers.EncryptionKey is not null && tiers.Ssd is null && shared is null, "--encryption-key: has no effect without a tier outside the arena: give --ssd or --shared, or leave it out");
        return new ServerOptions
        {
            SsdPath = tiers.Ssd is null ? null : Path.GetFullPath(tiers.Ssd),
            SsdBytes = ssdBytes,
            EncryptionKeyPath = tiers.EncryptionKey,
            Shared = shared,
            SocketPath = Path.GetFullPath(socket),
            ArenaPath = Directory.Exists(arena) ? Path.Combine(Path.GetFullPath(arena), "kvcache.arena") : Path.GetFullPath(arena),
            ArenaBytes = bytes,
            BlockTokens = config?.BlockTokens,
            PolicyPath = policy,
            Listen = listen is null ? null : ListenAddress.Parse(listen, "--listen"),
        };
    }

    private static long SsdBytes(TierArguments tiers, KVCacheSpec? config, string? configFile)
    {
        Refuse(tiers.SsdSize is not null && tiers.Ssd is null, "--ssd-size: needs --ssd: give the folder, too");
        Refuse(config?.Ssd is not null && tiers.Ssd is null, $"{configFile}: kvCache.ssd: needs --ssd: give the folder where its volume is mounted");
        if (tiers.Ssd is null)
            return 0;
        var bytes = tiers.SsdSize is not null ? Quantities.ParseBytes(tiers.SsdSize, "--ssd-size")
            : config?.Ssd is { } ssd ? Quantities.Bytes(ssd.Size, $"{configFile}: kvCache.ssd.size")
            : throw new UserInputException("--ssd-size: missing: give a size such as 20Gi, or a configuration with kvCache.ssd.size");
        Refuse(
            bytes < SsdTier.MinimumBytes,
            $"{(tiers.SsdSize is not null ? "--ssd-size" : $"{configFile}: kvCache.ssd.size")}: {bytes} bytes, must be at least {SsdTier.MinimumBytes}");
        return bytes;
    }

    private static SharedTierOptions? Shared(TierArguments tiers, KVCacheSpec? config, string? configFile)
    {
        if (tiers.Shared is null && config?.Shared is null)
            return null;
        var address = tiers.Shared ?? config!.Shared!.Address;
        var colon = address.LastIndexOf(':');
        Refuse(
            colon <= 0 || !int.TryParse(address.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port is 0 or > IPEndPoint.MaxPort,
            $"{(tiers.Shared is not null ? "--shared" : $"{configFile}: kvCache.shared.address")}: '{address}' is not a host and port: write one such as valkey:6379");
        return new SharedTierOptions
        {
            Address = address,
            Password = Environment.GetEnvironmentVariable(ContainerVariables.SharedPassword) is { Length: > 0 } password ? password : null,
            Tls = config?.Shared?.Tls ?? false,
            Timeout = Durations.ParsePositive(config?.Shared?.Timeout ?? "50ms", $"{configFile}: kvCache.shared.timeout"),
        };
    }

    private static async Task<int> ServeAsync(ServerOptions options, CancellationToken cancel)
    {
        await ServerWarmUp.RunAsync(options, TimeProvider.System, cancel);
        await using var server = await KvCacheServer.StartAsync(options, TimeProvider.System, cancel);
        await server.WaitForShutdownAsync(cancel);
        return 0;
    }

    /// <summary>What is said about the tiers outside the arena.</summary>
    internal readonly record struct TierArguments(string? Ssd, string? SsdSize, string? EncryptionKey, string? Shared);

    private static void Refuse(bool when, string message)
    {
        if (when)
            throw new UserInputException(message);
    }
}
