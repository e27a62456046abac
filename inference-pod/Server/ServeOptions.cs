using System.Net;
using System.Text;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Inference.Models;

namespace Moebius.Inference.Server;

/// <summary>What <c>moebius serve</c> does, after flags and configuration are put together and checked.</summary>
internal sealed record ServeOptions
{
    /// <summary>Bytes of a Unix socket's path, as the kernel limits it (unix(7)).</summary>
    private const int MostSocketBytes = 107;

    public required string ModelDirectory { get; init; }

    public required string ModelName { get; init; }

    public required IPEndPoint Listen { get; init; }

    /// <summary>Where the metrics are, instead of beside the API; null: beside it.</summary>
    public IPEndPoint? MetricsListen { get; init; }

    /// <summary>The sidecar's socket; null: no prefix cache.</summary>
    public string? KVSocket { get; init; }

    /// <summary>The KVPrivacyPolicy's manifest; null: the defaults of its identity.</summary>
    public string? PolicyFile { get; init; }

    public string? SignatureKey { get; init; }

    public ExpertSettings Experts { get; init; } = new(null, SlowTier.DirectIO, null, ModelLoadOptions.DefaultReaders, new PrefetchSpec());

    public int? Threads { get; init; }

    public int BlockTokens { get; init; } = 16;

    public int? ContextLength { get; init; }

    public int MaxSequences { get; init; } = 16;

    public int MaxQueued { get; init; } = 128;

    public int MaxBatchTokens { get; init; } = 512;

    public long KVMemoryBytes { get; init; } = 512L << 20;

    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How the model writes calls of tools.</summary>
    public ToolCallParser ToolCallParser { get; init; }

    /// <summary>How the model writes its reasoning.</summary>
    public ReasoningParser ReasoningParser { get; init; }

    /// <summary>How log lines are written.</summary>
    public LogFormat LogFormat { get; init; }

    /// <summary>Most connections at one time; more are closed unanswered.</summary>
    public long MostConnections { get; init; } = ServerLimits.Clients;

    /// <summary>Answer made-up requests before the first real one.</summary>
    public bool WarmUp { get; init; } = true;

    /// <summary>Flags as given; null where absent.</summary>
    internal sealed record Flags(string? Model, string? Config, string? Name, string? Listen, string? KVSocket, string? Policy, int? Threads, ExpertFlags.Given Experts, string? ToolCallParser = null, string? ReasoningParser = null, LogFormat LogFormat = LogFormat.Text, string? MetricsListen = null);

    /// <summary>Flags override the configuration file.</summary>
    /// <exception cref="UserInputException">Something is missing or cannot be honoured; the message names it.</exception>
    public static ServeOptions Resolve(Flags flags, Func<string, string?> environment)
    {
        if (flags.Model is not { } directory)
            throw new UserInputException("--model: missing: give the directory of a model in Hub layout");
        if (!Directory.Exists(directory))
            throw new UserInputException($"--model: '{directory}' is not a directory: it must hold config.json, *.safetensors and tokenizer.json");
        var config = flags.Config is { } file ? Configured(file) : new InferenceConfig { ModelName = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory))) };
        var source = flags.Config ?? "defaults";
        var serving = config.Serving;
        Refuse(serving.ComputeType != ComputeType.Float32, $"{source}: serving.computeType: {serving.ComputeType} is not available in this version: use Float32");
        var name = flags.Name ?? config.ModelName;
        Refuse(string.IsNullOrWhiteSpace(name), $"{(flags.Name is null ? $"{source}: modelName" : "--served-model-name")}: is empty");
        var address = flags.Listen is { } listen ? ListenAddress.Parse(listen, "--listen") : new IPEndPoint(IPAddress.Any, serving.Port);
        var metrics = flags.MetricsListen is { } own ? ListenAddress.Parse(own, "--metrics-listen") : null;
        Refuse(metrics is not null && Overlap(metrics, address), $"--metrics-listen: {metrics} is where the API listens ({address}): give another port, or leave the flag out to have the metrics beside the API");
        return new ServeOptions
        {
            ModelDirectory = Path.GetFullPath(directory),
            ModelName = name,
            Listen = address,
            MetricsListen = metrics,
            KVSocket = flags.KVSocket is { } socket ? SocketPath(Path.GetFullPath(socket)) : null,
            PolicyFile = flags.Policy,
            SignatureKey = environment(ContainerVariables.TenantSignatureKey),
            Experts = flags.Experts.Over(config.Experts, source),
            LogFormat = flags.LogFormat,
            Threads = flags.Threads is { } threads ? Range(threads, 1, ServingSpec.MostThreads, "--threads") : serving.Threads,
            BlockTokens = config.BlockTokens,
            ContextLength = serving.ContextLength,
            MaxSequences = serving.MaxConcurrentSequences,
            MaxQueued = serving.MaxQueuedRequests,
            // Clients with a place, as many that ask for one, and idle connections of either.
            MostConnections = Math.Max(ServerLimits.Clients, 4L * (serving.MaxConcurrentSequences + serving.MaxQueuedRequests)),
            MaxBatchTokens = serving.MaxBatchTokens,
            KVMemoryBytes = Quantities.Bytes(serving.KVMemory, $"{source}: serving.kvMemory"),
            ToolCallParser = flags.ToolCallParser is { } parser ? ExpertFlags.Given.Named<ToolCallParser>(parser, "--tool-call-parser") : serving.ToolCallParser,
            ReasoningParser = flags.ReasoningParser is { } reasoning ? ExpertFlags.Given.Named<ReasoningParser>(reasoning, "--reasoning-parser") : serving.ReasoningParser,
            DrainTimeout = Durations.Parse(serving.DrainTimeout, $"{source}: serving.drainTimeout"),
        };
    }

    /// <summary>Reads a configuration file and checks it field by field, as an API server checks a resource.</summary>
    /// <exception cref="UserInputException">A field cannot be honoured; the message names it.</exception>
    internal static InferenceConfig Configured(string file)
    {
        var config = Manifests.LoadFile<InferenceConfig>(file);
        SpecCheck.Require(config, "", file);
        return config;
    }

    private static bool Overlap(IPEndPoint one, IPEndPoint other) =>
        one.Port != 0 && one.Port == other.Port && (one.Address.Equals(other.Address) || new[] { one.Address, other.Address }.Any(address => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any)));

    private static string SocketPath(string path) => Encoding.UTF8.GetByteCount(path) is var bytes && bytes <= MostSocketBytes
        ? path
        : throw new UserInputException($"--kv-socket: '{path}' has {bytes} bytes; the path of a socket may have {MostSocketBytes}");

    private static int Range(int value, int least, int most, string field) =>
        value >= least && value <= most ? value : throw new UserInputException($"{field}: {value} is out of range: from {least} to {most}");

    private static void Refuse(bool wrong, string message)
    {
        if (wrong)
            throw new UserInputException(message);
    }
}
