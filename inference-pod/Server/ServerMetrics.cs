using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Moebius.Inference.Engine;
using Moebius.Inference.Models;
using Prometheus;

namespace Moebius.Inference.Server;

/// <summary>The server's metrics: vLLM's names where it has one, so that its dashboards and autoscalers fit.</summary>
internal sealed partial class ServerMetrics : IEngineObserver
{
    /// <summary>Stands for vLLM's "vllm:" inside the registry, which takes no colon in a name.</summary>
    private const string VllmPrefix = "vllm_";

    private static readonly double[] FirstTokenBuckets = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160];
    private static readonly double[] TokenBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5];
    private static readonly double[] RequestBuckets = [0.05, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 60, 120, 240, 480, 960];
    private static readonly double[] CountBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];
    private static readonly double[] ChoiceBuckets = [1, 2, 5, 10, 20];

    private readonly Gauge.Child _running;
    private readonly Gauge.Child _waiting;
    private readonly Gauge.Child _kvUsage;
    private readonly Counter.Child _queries;
    private readonly Counter.Child _hits;
    private readonly Counter.Child _shared;
    private readonly Counter.Child _promptTokens;
    private readonly Counter.Child _cachedTokens;
    private readonly Counter.Child _generatedTokens;
    private readonly Counter.Child _preemptions;
    private readonly Counter _finished;
    private readonly Histogram.Child _firstToken;
    private readonly Histogram.Child _interToken;
    private readonly Histogram.Child _perToken;
    private readonly Histogram.Child _queueTime;
    private readonly Histogram.Child _prefillTime;
    private readonly Histogram.Child _decodeTime;
    private readonly Histogram.Child _inferenceTime;
    private readonly Histogram.Child _endToEnd;
    private readonly Histogram.Child _requestPrompt;
    private readonly Histogram.Child _requestGenerated;
    private readonly Histogram.Child _requestComputed;
    private readonly Histogram.Child _requestLimit;
    private readonly Histogram.Child _requestPerToken;
    private readonly Histogram.Child _longest;
    private readonly Histogram.Child _choices;
    private readonly Histogram.Child _stepTokens;
    private readonly Histogram.Child _stepTime;
    private readonly Counter.Child _rejected;
    private readonly Gauge.Child _cacheConnected;
    private readonly string _model;
    private readonly MetricFactory _factory;
    private Action<ExpertStatistics>? _experts;
    private Func<ExpertStatistics>? _source;
    private Func<bool>? _connected;

    public ServerMetrics(string model)
    {
        _model = model;
        Registry = Metrics.NewCustomRegistry();
        _factory = Metrics.WithCustomRegistry(Registry);
        _running = Gauge(VllmPrefix + "num_requests_running", "Sequences being computed.");
        _waiting = Gauge(VllmPrefix + "num_requests_waiting", "Sequences that wait to be computed.");
        _kvUsage = Gauge(VllmPrefix + "kv_cache_usage_perc", "Share of the KV memory in use; 1 is all of it.");
        _queries = Counter(VllmPrefix + "prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.");
        _hits = Counter(VllmPrefix + "prefix_cache_hits_total", "Prompt tokens found in the prefix cache.");
        _shared = Counter("moebius_prefill_shared_tokens_total", "Prompt tokens taken from another request that computed them at the same time.");
        _promptTokens = Counter(VllmPrefix + "prompt_tokens_total", "Tokens of prompts that have been read, counted with the first token of the answer.");
        _cachedTokens = Counter(VllmPrefix + "prompt_tokens_cached_total", "Those of them that were not computed: found in the prefix cache or shared.");
        _generatedTokens = Counter(VllmPrefix + "generation_tokens_total", "Tokens generated.");
        _preemptions = Counter(VllmPrefix + "num_preemptions_total", "Sequences that lost their KV memory to others and were recomputed.");
        _finished = _factory.CreateCounter(VllmPrefix + "request_success_total", "Finished sequences.", "model_name", "finished_reason");
        _firstToken = Histogram(VllmPrefix + "time_to_first_token_seconds", "From arrival to the first token.", FirstTokenBuckets);
        _interToken = Histogram(VllmPrefix + "inter_token_latency_seconds", "Between one token and the next.", TokenBuckets);
        _perToken = Histogram(VllmPrefix + "time_per_output_token_seconds", "Between one token and the next; vLLM's older name.", TokenBuckets);
        _queueTime = Histogram(VllmPrefix + "request_queue_time_seconds", "From arrival to the first computation.", RequestBuckets);
        _prefillTime = Histogram(VllmPrefix + "request_prefill_time_seconds", "From the first computation to the first token.", RequestBuckets);
        _decodeTime = Histogram(VllmPrefix + "request_decode_time_seconds", "From the first token to the last.", RequestBuckets);
        _inferenceTime = Histogram(VllmPrefix + "request_inference_time_seconds", "From the first computation to the last token.", RequestBuckets);
        _endToEnd = Histogram(VllmPrefix + "e2e_request_latency_seconds", "From arrival to the last token.", RequestBuckets);
        _requestPrompt = Histogram(VllmPrefix + "request_prompt_tokens", "Prompt tokens of a request.", CountBuckets);
        _requestGenerated = Histogram(VllmPrefix + "request_generation_tokens", "Generated tokens of a request.", CountBuckets);
        _requestComputed = Histogram(VllmPrefix + "request_prefill_kv_computed_tokens", "Prompt tokens of a request that were computed: not found in the prefix cache, not shared.", CountBuckets);
        _requestLimit = Histogram(VllmPrefix + "request_params_max_tokens", "Most tokens that a request allows an output; what the context leaves where it says nothing.", CountBuckets);
        _requestPerToken = Histogram(VllmPrefix + "request_time_per_output_token_seconds", "Between one token and the next, averaged over a request's output.", TokenBuckets);
        _longest = Histogram(VllmPrefix + "request_max_num_generation_tokens", "Generated tokens of the longest of a prompt's outputs.", CountBuckets);
        _choices = Histogram(VllmPrefix + "request_params_n", "Outputs asked for with one prompt.", ChoiceBuckets);
        _stepTokens = Histogram(VllmPrefix + "iteration_tokens_total", "Tokens computed in one step.", CountBuckets);
        _stepTime = Histogram("moebius_engine_step_seconds", "Duration of one step.", TokenBuckets);
        _rejected = Counter("moebius_requests_rejected_total", "Requests answered 429: the queue was full, or there was no room for a large body.");
        _cacheConnected = Gauge("moebius_prefix_cache_connected", "Whether the SafeKV sidecar answers: 1 or 0.");
        foreach (var reason in Enum.GetValues<FinishReason>())
            _finished.WithLabels(model, Label(reason));
        Registry.AddBeforeCollectCallback(Collect);
    }

    private CollectorRegistry Registry { get; }

    /// <summary>Everything, in Prometheus' text format.</summary>
    public async Task<string> ExportAsync(CancellationToken stop)
    {
        using var buffer = new MemoryStream();
        await Registry.CollectAndExportAsTextAsync(buffer, stop).ConfigureAwait(false);
        return VllmNames().Replace(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length), "$1vllm:");
    }

    /// <summary>Says where the expert store's counters and the cache's state are read from, and what the KV memory is.</summary>
    public void Watch(Func<ExpertStatistics> statistics, Func<bool> cache, SchedulerLimits limits)
    {
        // With vLLM's names of labels: endpoint pickers read the two figures off them.
        _factory.CreateGauge(VllmPrefix + "cache_config_info", "Tokens of a KV block and number of blocks, as labels; always 1.", "model_name", "block_size", "num_gpu_blocks")
            .WithLabels(_model, limits.BlockTokens.ToString(CultureInfo.InvariantCulture), limits.Blocks.ToString(CultureInfo.InvariantCulture)).Set(1);
        var expertHits = Counter("moebius_expert_hits_total", "Expert uses that found the expert in fast memory.");
        var expertMisses = Counter("moebius_expert_misses_total", "Expert uses that waited for a load.");
        var evictions = Counter("moebius_expert_evictions_total", "Experts dropped to stay inside the budget.");
        var stall = Counter("moebius_expert_stall_seconds_total", "Time that computation waited for experts.");
        var loaded = Counter("moebius_expert_loaded_bytes_total", "Bytes of experts read from the slow tier.");
        var resident = Gauge("moebius_expert_resident_bytes", "Bytes of experts in fast memory.");
        var prefetched = Counter("moebius_expert_prefetched_total", "Experts whose load ahead of their layer began.");
        var late = Counter("moebius_expert_prefetched_late_total", "Expert uses that waited for a load ahead which had begun.");
        var overFetched = Counter("moebius_expert_overfetched_total", "Experts loaded ahead and dropped before anything used them.");
        var predictable = Counter("moebius_expert_predictable_uses_total", "Expert uses in steps of a prefetch policy.");
        var predicted = Counter("moebius_expert_predicted_uses_total", "Those of them that the policy had planned; the ratio is the predictor's recall.");
        var recall = Gauge("moebius_expert_predictor_recall_ratio", "Share of expert uses that the prefetch policy had planned, since the start; 0 on demand.");
        var horizon = Gauge("moebius_expert_horizon_layers", "Layers ahead that the prefetch policy looked in the last step, averaged over its layers; 0 on demand.");
        var looksAhead = Gauge("moebius_expert_prefetch_active", "Whether experts were planned to be loaded ahead in the last step: 1 or 0; 0 on demand, and while looking ahead does not pay.");
        var bandwidth = Gauge("moebius_expert_bandwidth_bytes_per_second", "Bytes a second that loads of experts get while any is on its way, as measured lately.");
        var latency = Gauge("moebius_expert_load_latency_seconds", "Seconds from the beginning of an expert's load to its end, others at the same time included, as measured lately; 0 before the first.");
        var budget = Gauge("moebius_expert_budget_bytes", "Hard limit of the bytes of experts in fast memory.");
        _experts = now =>
        {
            expertHits.IncTo(now.Hits);
            expertMisses.IncTo(now.Misses);
            evictions.IncTo(now.Evictions);
            stall.IncTo(now.StallSeconds);
            loaded.IncTo(now.LoadedBytes);
            resident.Set(now.ResidentBytes);
            budget.Set(now.BudgetBytes);
            prefetched.IncTo(now.Prefetched);
            late.IncTo(now.Late);
            overFetched.IncTo(now.OverFetched);
            predictable.IncTo(now.Uses);
            predicted.IncTo(now.Foreseen);
            recall.Set(now.Uses == 0 ? 0 : (double)now.Foreseen / now.Uses);
            horizon.Set(now.Horizon);
            looksAhead.Set(now.LooksAhead ? 1 : 0);
            bandwidth.Set(now.BytesPerSecond);
            latency.Set(now.LatencySeconds);
        };
        _connected = cache;
        _source = statistics;
    }

    public void Rejected() => _rejected.Inc();

    public void FirstToken(TimeSpan sinceArrival, int prompt, int cached)
    {
        _firstToken.Observe(sinceArrival.TotalSeconds);
        _promptTokens.Inc(prompt);
        _cachedTokens.Inc(cached);
        _generatedTokens.Inc();
    }

    public void PromptOnly(int prompt, int cached)
    {
        _promptTokens.Inc(prompt);
        _cachedTokens.Inc(cached);
    }

    public void NextTokens(TimeSpan sinceLast, int tokens)
    {
        _interToken.Observe(sinceLast.TotalSeconds, tokens);
        _perToken.Observe(sinceLast.TotalSeconds, tokens);
        _generatedTokens.Inc(tokens);
    }

    public void Started(TimeSpan waited) => _queueTime.Observe(waited.TotalSeconds);

    public void PrefixLookup(int queried, int found)
    {
        _queries.Inc(queried);
        _hits.Inc(found);
    }

    public void PrefillShared(int tokens) => _shared.Inc(tokens);

    public void Preempted() => _preemptions.Inc();

    public void Step(int tokens, TimeSpan duration)
    {
        _stepTokens.Observe(tokens);
        _stepTime.Observe(duration.TotalSeconds);
    }

    public void Finished(FinishReason reason, SequenceTokens tokens, TimeSpan sinceArrival)
    {
        _finished.WithLabels(_model, Label(reason)).Inc();
        _requestPrompt.Observe(tokens.Prompt);
        _requestGenerated.Observe(tokens.Generated);
        _requestLimit.Observe(tokens.Most);
        _endToEnd.Observe(sinceArrival.TotalSeconds);
        // One that never began has computed nothing, and nothing was found for it.
        if (tokens.Generated > 0 || (tokens.Most == 0 && reason == FinishReason.Length))
            _requestComputed.Observe(tokens.Prompt - tokens.Cached);
    }

    public void Answered(int choices, int longest)
    {
        _choices.Observe(choices);
        _longest.Observe(longest);
    }

    public void Computed(TimeSpan prefill, TimeSpan decode, int generatedTokens)
    {
        if (generatedTokens > 1)
            _requestPerToken.Observe(decode.TotalSeconds / (generatedTokens - 1));
        _prefillTime.Observe(prefill.TotalSeconds);
        if (generatedTokens > 0)
            _decodeTime.Observe(decode.TotalSeconds);
        _inferenceTime.Observe((prefill + decode).TotalSeconds);
    }

    public void Load(int running, int waiting, double kvUsage)
    {
        _running.Set(running);
        _waiting.Set(waiting);
        _kvUsage.Set(kvUsage);
    }

    private void Collect()
    {
        if (_source is not null)
            _experts?.Invoke(_source());
        _cacheConnected.Set(_connected?.Invoke() == true ? 1 : 0);
    }

    [GeneratedRegex("^(# (?:HELP|TYPE) )?" + VllmPrefix, RegexOptions.Multiline)]
    private static partial Regex VllmNames();

    private static string Label(FinishReason reason) => reason switch
    {
        FinishReason.Stop => "stop",
        FinishReason.Length => "length",
        FinishReason.Abort => "abort",
        _ => "error",
    };

    private Gauge.Child Gauge(string name, string help) => _factory.CreateGauge(name, help, "model_name").WithLabels(_model);

    private Counter.Child Counter(string name, string help) => _factory.CreateCounter(name, help, "model_name").WithLabels(_model);

    private Histogram.Child Histogram(string name, string help, double[] buckets) =>
        _factory.CreateHistogram(name, help, ["model_name"], new HistogramConfiguration { Buckets = buckets }).WithLabels(_model);
}
