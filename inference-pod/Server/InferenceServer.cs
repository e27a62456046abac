using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Engine;
using Moebius.Inference.KvClient;
using Moebius.Inference.Models;
using Moebius.Inference.Storage;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Tokenization;
using Moebius.Inference.Tools;

namespace Moebius.Inference.Server;

/// <summary>
/// The inference server: HTTP first, so that probes are answered while the model loads; then the model, the engine and
/// the prefix cache; at the end a drain.
/// </summary>
internal sealed class InferenceServer : IAsyncDisposable
{
    /// <summary>How long readiness waits for a sidecar that is there: longer, and requests run without it at first.</summary>
    private static readonly TimeSpan CachePatience = TimeSpan.FromSeconds(3);

    private readonly ServeOptions _options;
    private readonly TimeProvider _clock;
    private readonly WebApplication _app;
    private readonly ServerMetrics _metrics;
    private readonly PolicyIdentity _identity;
    private readonly Task _loading;
    private readonly ILogger _logger;
    private SidecarCache? _cache;
    private volatile ServedModel? _served;
    private volatile bool _stopping;
    private volatile string _progress = "the model is loading";

    private InferenceServer(ServeOptions options, Func<IProgress<ModelLoadProgress>, ICausalModel> load, TimeProvider clock, WebApplication app)
    {
        _options = options;
        _clock = clock;
        _app = app;
        _logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Moebius.Inference");
        _metrics = new ServerMetrics(options.ModelName);
        _identity = new PolicyIdentity(options.PolicyFile, options.SignatureKey, clock, _logger);
        new ApiRoutes(() => _served, () => _stopping ? "the server is stopping" : _served is null ? _progress : null, () => _identity.Current, options, _metrics, clock, _logger).Map(app);
        _loading = Task.Factory.StartNew(() => Load(load), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>Base address that clients on this machine can use.</summary>
    public Uri Address { get; private set; } = new("http://127.0.0.1");

    /// <summary>Where the metrics are.</summary>
    public Uri MetricsAddress { get; private set; } = new("http://127.0.0.1");

    /// <summary>Ends when the model is ready; fails when it cannot be loaded.</summary>
    public Task Loaded => _loading;

    /// <summary>The prefix cache's client, for whoever waits for it; null without a socket.</summary>
    public SidecarCache? Cache => _cache;

    /// <summary>Starts to listen and to load.</summary>
    /// <param name="options">What to serve.</param>
    /// <param name="load">Loads the model; runs on a thread of its own.</param>
    /// <param name="clock">Time.</param>
    /// <param name="logging">Adds log providers; null adds the console.</param>
    /// <exception cref="UserInputException">The address is taken, or the policy cannot be honoured.</exception>
    public static async Task<InferenceServer> StartAsync(
        ServeOptions options, Func<IProgress<ModelLoadProgress>, ICausalModel> load, TimeProvider clock, Action<ILoggingBuilder>? logging = null)
    {
        // Nothing but the server: no settings from files or variables of the host framework, and no watchers of such files.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        if (logging is null)
            Console(builder.Logging, options.LogFormat);
        else
            logging(builder.Logging);
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            // RequestBodies looks at the body itself; this counts what frames its chunks as well.
            kestrel.Limits.MaxRequestBodySize = 2 * RequestBodies.LargestBytes;
            kestrel.Limits.MaxConcurrentConnections = options.MostConnections;
            kestrel.Listen(options.Listen);
            if (options.MetricsListen is { } metrics)
                kestrel.Listen(metrics, MetricsConnection.Mark);
        });
        var app = builder.Build();
        InferenceServer server;
        try
        {
            server = new InferenceServer(options, load, clock, app);
        }
        catch
        {
            await app.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        try
        {
            await app.StartAsync().ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            await server.DisposeAsync().ConfigureAwait(false);
            // Which of two could not be had is not in every error.
            var where = options.MetricsListen is { } metrics && CanBind(options.Listen) ? $"--metrics-listen: cannot listen on {metrics}" : $"--listen: cannot listen on {options.Listen}";
            throw new UserInputException($"{where}: {error.Message}", error);
        }

        server.Address = Local(app.Urls.First());
        server.MetricsAddress = Local(app.Urls.Last());
        server._logger.LogInformation("Listening on {Address}; loading {Model} from {Directory}", app.Urls.First(), options.ModelName, options.ModelDirectory);
        return server;
    }

    private static bool CanBind(IPEndPoint address)
    {
        try
        {
            using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(address);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Serves until told to stop; then lets running requests end within the drain timeout.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        try
        {
            await _loading.WaitAsync(stop).ConfigureAwait(false);
            await Task.Delay(Timeout.Infinite, stop).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }

        _stopping = true;
        if (_served is { } model)
        {
            _logger.LogInformation("Stopping: running requests have {Timeout} to end", _options.DrainTimeout);
            using var patience = new CancellationTokenSource(_options.DrainTimeout, _clock);
            await model.Engine.DrainAsync(patience.Token).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        if (_served is { } ready)
            await ready.Engine.DisposeAsync().ConfigureAwait(false);
        using (var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5)))
            await _app.StopAsync(patience.Token).ConfigureAwait(false);
        await _app.DisposeAsync().ConfigureAwait(false);
        _identity.Dispose();

        // A model that is still loading ends with the process: loading has no point at which to stop.
        if (_loading.IsCompleted && _served is { } model)
        {
            // It may have been loaded since the first look.
            await model.Engine.DisposeAsync().ConfigureAwait(false);
            if (_cache is not null)
                await _cache.DisposeAsync().ConfigureAwait(false);
            model.Model.Dispose();
        }
    }

    private static Uri Local(string url) => new(url.Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal).Replace("[::]", "[::1]", StringComparison.Ordinal));

    private static void Console(ILoggingBuilder logging, LogFormat format)
    {
        logging.AddLines(format);
        // What keeps the host from starting is thrown, and told in one line.
        logging.AddFilter("Microsoft", LogLevel.Warning).AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
    }

    private void Load(Func<IProgress<ModelLoadProgress>, ICausalModel> load)
    {
        var began = _clock.GetTimestamp();
        var tokenizer = Tokenizer.Load(_options.ModelDirectory);
        var template = ChatTemplate.Load(_options.ModelDirectory);
        var model = load(new Reporter(now => _progress = $"the model is loading ({now.Stage} {now.Done} of {now.Total})"));
        var limits = Limits(model.Info);
        GiveBackMemory();
        var warmUp = default(ExpertStatistics);
        if (_options.WarmUp && !_stopping)
        {
            _progress = "the model is warming up";
            warmUp = WarmUp.RunAsync(model, tokenizer, template, limits, _clock, _logger).GetAwaiter().GetResult();
        }

        GiveBackMemory();
        if (_stopping)
        {
            model.Dispose();
            return;
        }

        _cache = _options.KVSocket is { } socket ? new SidecarCache(socket, model.Info, _clock, _logger) : null;
        _cache?.FirstAttemptAsync(CachePatience).GetAwaiter().GetResult();
        if (_cache is not null && model.Info.KvDependsOnLength)
            _logger.LogInformation("Sequences of more than {Tokens} tokens share no blocks: the rotary scaling of this model makes their keys depend on their length", model.Info.KvSharedUpTo);
        var engine = new InferenceEngine(model, tokenizer, _cache is null ? new NoPrefixCache() : _cache, _metrics, limits, _options.MaxQueued, _clock, _logger);
        _metrics.Watch(() => model.Experts.Since(warmUp), () => _cache is { Connected: true }, limits);
        engine.Start();
        var context = Math.Min(_options.ContextLength ?? int.MaxValue, engine.ContextLength);
        if (engine.ContextLength < model.Info.ContextLength)
            _logger.LogWarning("serving.kvMemory holds {Tokens} tokens, less than the model's context of {Context}: longer requests are refused", engine.ContextLength, model.Info.ContextLength);
        var calls = _options.ToolCallParser == ToolCallParser.Auto ? AnswerFormat.Of(template?.Source) : _options.ToolCallParser;
        _served = new ServedModel(_options.ModelName, model, tokenizer, template, engine, context, _clock.GetUtcNow())
        {
            ToolCallParser = calls,
            ReasoningParser = ReasoningFormat.Decide(_options.ReasoningParser, calls, template?.Source),
        };
        if (tokenizer.Count > model.Info.VocabularySize)
            _logger.LogWarning("The tokenizer has {Tokens} tokens and the model {Vocabulary}: a text with one of the others is refused", tokenizer.Count, model.Info.VocabularySize);
        foreach (var id in model.Info.EndOfSequence.Where(id => id < 0 || id >= model.Info.VocabularySize))
            _logger.LogWarning("eos_token_id {Id} is none of the model's token ids, which end at {Last}: no answer ends with it", id, model.Info.VocabularySize - 1);
        if (template is not null)
            _logger.LogInformation("Tool calls are read as {Calls}, reasoning as {Reasoning}", _served.ToolCallParser, _served.ReasoningParser);
        if (model.Info.ExpertTier.Length > 0)
            _logger.LogInformation("Experts come from {Tier}", model.Info.ExpertTier);
        _logger.LogInformation(
            "Ready after {Seconds:0.0} s: {Architecture}, context {Context}, {Blocks} KV blocks of {BlockTokens} tokens, expert budget {Budget}",
            _clock.GetElapsedTime(began).TotalSeconds, model.Info.Architecture, context, limits.Blocks, limits.BlockTokens, Quantities.Format(model.Experts.BudgetBytes));
    }

    /// <summary>What loading and compiling needed is needed no more, and experts are about to fill the memory that is left.</summary>
    private static void GiveBackMemory()
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        LibC.TrimFreed();
    }

    private SchedulerLimits Limits(ModelInfo info)
    {
        if (_options.ContextLength > info.ContextLength)
            throw new UserInputException($"serving.contextLength: {_options.ContextLength} is more than the model's {info.ContextLength}");
        var blocks = _options.KVMemoryBytes / info.BlockBytes;
        var most = int.MaxValue / info.BlockTokens;
        if (blocks < 2)
            throw new UserInputException($"serving.kvMemory: {_options.KVMemoryBytes} bytes hold {blocks} blocks of {info.BlockBytes} bytes: at least {2L * info.BlockBytes} are needed");
        if (blocks > most)
            throw new UserInputException($"serving.kvMemory: {Quantities.Format(_options.KVMemoryBytes)} hold {blocks} blocks of {info.BlockBytes} bytes; an engine counts at most {most}: write at most {(long)most * info.BlockBytes}");
        return new SchedulerLimits(_options.MaxSequences, _options.MaxBatchTokens, info.BlockTokens, (int)blocks);
    }

    // Progress<T> would post to the thread pool, out of order.
    private sealed class Reporter(Action<ModelLoadProgress> report) : IProgress<ModelLoadProgress>
    {
        public void Report(ModelLoadProgress value) => report(value);
    }

    // Signals are the command line's business; the host must not take them.
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
