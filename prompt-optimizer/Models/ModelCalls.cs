using System.ClientModel;
using System.ClientModel.Primitives;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;
using Polly;
using Polly.Retry;
using Polly.Timeout;

namespace Moebius.PromptOptimizer.Models;

/// <summary>How calls are repeated. The figures are ours.</summary>
/// <param name="Retries">Further attempts after the first.</param>
/// <param name="FirstDelay">Wait before the first of them; doubled each time.</param>
/// <param name="LongestDelay">Longest wait inside a call. An endpoint that asks for more gets its job put back instead.</param>
internal sealed record CallTiming(int Retries, TimeSpan FirstDelay, TimeSpan LongestDelay)
{
    public static CallTiming Default { get; } = new(3, TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(20));
}

/// <summary>Runs calls to one endpoint with its timeout, retries and errors in this part's terms.</summary>
internal sealed class ModelCalls
{
    private readonly string _field;
    private readonly string? _key;
    private readonly TimeSpan _timeout;
    private readonly TimeProvider _time;
    private readonly Action<string> _counted;
    private readonly ResiliencePipeline _pipeline;

    /// <param name="endpoint">The endpoint; its field stands in messages.</param>
    /// <param name="timing">Retries and waits.</param>
    /// <param name="time">Clock.</param>
    /// <param name="counted">Told the outcome of every attempt: ok, a status, timeout or unreachable.</param>
    public ModelCalls(EndpointSettings endpoint, CallTiming timing, TimeProvider time, Action<string> counted)
    {
        (_field, _key, _timeout, _time, _counted) = (endpoint.Field, endpoint.ApiKey, endpoint.Timeout, time, counted);
        _pipeline = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddRetry(new RetryStrategyOptions
            {
                MaxRetryAttempts = timing.Retries,
                ShouldHandle = new PredicateBuilder().Handle<ModelUnavailableException>(error => error.RetryAfter is null || error.RetryAfter <= timing.LongestDelay),
                DelayGenerator = arguments => ValueTask.FromResult<TimeSpan?>(
                    Delay(arguments.AttemptNumber, (arguments.Outcome.Exception as ModelUnavailableException)?.RetryAfter, timing, Jitter())),
            })
            .AddStrategy(_ => new Classify(this), new ClassifyOptions())
            .AddTimeout(new TimeoutStrategyOptions { Timeout = endpoint.Timeout })
            .Build();
    }

    /// <summary>A client that follows no redirect (a key must not travel on) and keeps no cookies.</summary>
    public static HttpClient CreateHttpClient(Func<HttpMessageHandler, HttpMessageHandler>? around = null)
    {
        HttpMessageHandler handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        return new(around is null ? handler : around(handler)) { Timeout = System.Threading.Timeout.InfiniteTimeSpan };
    }

    public async Task<T> RunAsync<T>(Func<CancellationToken, Task<T>> call, CancellationToken cancel) =>
        await _pipeline.ExecuteAsync(async token => await call(token).ConfigureAwait(false), cancel).ConfigureAwait(false);

    /// <summary>Runs a call once, counted and with its errors in this part's terms; its timeout is the caller's.</summary>
    public async Task<T> OnceAsync<T>(Func<CancellationToken, Task<T>> call, CancellationToken cancel)
    {
        try
        {
            var answer = await call(cancel).ConfigureAwait(false);
            _counted("ok");
            return answer;
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            throw Translate(error);
        }
    }

    /// <summary>Wait before attempt <paramref name="attempt"/> + 1 (from 0): what the endpoint asked for, or doubling with jitter.</summary>
    internal static TimeSpan Delay(int attempt, TimeSpan? retryAfter, CallTiming timing, double jitter)
    {
        if (retryAfter is { } asked)
            return asked;
        var ticks = timing.FirstDelay.Ticks * Math.Pow(2, attempt) * (0.75 + (0.5 * jitter));
        return TimeSpan.FromTicks((long)Math.Min(ticks, timing.LongestDelay.Ticks));
    }

    /// <summary>Reads Retry-After, in seconds or as a date.</summary>
    internal static TimeSpan? RetryAfter(string? header, DateTimeOffset now)
    {
        if (header is null || !RetryConditionHeaderValue.TryParse(header, out var value))
            return null;
        var wait = value.Delta ?? value.Date - now;
        return wait is { } some ? (some > TimeSpan.Zero ? some : TimeSpan.Zero) : null;
    }

    internal static bool IsTransient(int status) => status is 408 or 425 or 429 or 500 or 502 or 503 or 504 or 529;

    /// <summary>An error for an HTTP status.</summary>
    internal Exception ForStatus(int status, string? retryAfter, byte[]? body, Exception? inner)
    {
        var (detail, contextExceeded) = ReadError(body, _key);
        return ForStatus(status, retryAfter, "", detail, inner, contextExceeded);
    }

    /// <summary>An error for an HTTP status of an API whose errors the caller reads.</summary>
    /// <param name="status">The status.</param>
    /// <param name="retryAfter">Retry-After, if there is one.</param>
    /// <param name="hint">What would be right, in words of this part's own; empty for none.</param>
    /// <param name="words">The endpoint's words, for the job's owner; empty for none.</param>
    internal Exception ForStatusInWords(int status, string? retryAfter, string hint, string words) =>
        ForStatus(status, retryAfter, hint.Length > 0 ? $" ({hint})" : "", Detail(words));

    /// <summary>An endpoint's words for the job's owner, who need not know the key: some endpoints repeat it. Empty for none.</summary>
    internal string Detail(string words) => Detail(words, _key, 400);

    private Exception ForStatus(int status, string? retryAfter, string hint, string detail, Exception? inner = null, bool contextExceeded = false)
    {
        var code = status.ToString(CultureInfo.InvariantCulture);
        _counted(code);
        var summary = $"{_field}: HTTP {code}{hint}";
        return IsTransient(status)
            ? new ModelUnavailableException(summary, detail, RetryAfter(retryAfter, _time.GetUtcNow()), inner)
            : new ModelRejectedException(summary, detail, status, inner, contextExceeded);
    }

    /// <summary>On one line, without the key or (of user:password) the password, shortened.</summary>
    private static string Detail(string words, string? key, int most)
    {
        var text = Agents.PromptDraft.OneLine(words);
        foreach (var secret in new[] { key, key?[(key.IndexOf(':', StringComparison.Ordinal) + 1)..] })
        {
            if (secret is { Length: > 0 })
                text = text.Replace(secret, "[the key]", StringComparison.OrdinalIgnoreCase);
        }

        if (text.Length > most)
            text = text[..(char.IsHighSurrogate(text[most - 1]) ? most - 1 : most)] + "...";
        return text.Length == 0 ? "" : $": {text}";
    }

#pragma warning disable CA5394 // Spreads retries; nothing secret depends on it.
    private static double Jitter() => Random.Shared.NextDouble();
#pragma warning restore CA5394

    /// <summary>
    /// The endpoint's own words from an OpenAI error body, shortened and without the key; nothing of any other body.
    /// </summary>
    internal static (string Detail, bool ContextExceeded) ReadError(byte[]? body, string? key)
    {
        if (body is null)
            return ("", false);
        try
        {
            using var document = JsonDocument.Parse(body);
            // OpenAI's form first; SGLang and older vLLM put the same fields at the top, Ollama's own form is a text.
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
                return ("", false);
            var error = root.TryGetProperty("error", out var inner) && inner.ValueKind is JsonValueKind.Object or JsonValueKind.String ? inner : root;
            var message = error.ValueKind == JsonValueKind.String ? error : error.TryGetProperty("message", out var words) ? words : default;
            if (message.ValueKind != JsonValueKind.String)
                return ("", false);
            var text = message.GetString()!;
            // The code is OpenAI's; vLLM and SGLang say it in words alone.
            var contextExceeded = (error.ValueKind == JsonValueKind.Object && error.TryGetProperty("code", out var code) && code.ValueKind == JsonValueKind.String && code.ValueEquals("context_length_exceeded"))
                || text.Contains("maximum context length", StringComparison.OrdinalIgnoreCase);
            return (Detail(text, key, 200), contextExceeded);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // A proxy's HTML page says nothing that helps here, nor does half of a surrogate pair.
            return ("", false);
        }
    }

    private Exception Translate(Exception error)
    {
        switch (error)
        {
            case ModelUnavailableException or ModelRejectedException or OperationCanceledException:
                return error;
            case TimeoutRejectedException:
                _counted("timeout");
                return new ModelUnavailableException($"{_field}: no answer within {_timeout.TotalSeconds:0.###} s (timeout)", "", null, error);
            case ClientResultException { Status: >= 300 } result:
                var response = result.GetRawResponse();
                string? retryAfter = null;
                response?.Headers.TryGetValue("Retry-After", out retryAfter);
                return ForStatus(result.Status, retryAfter, Body(response), error);
            case UnusableAnswerException unusable:
                _counted("malformed");
                return new ModelRejectedException($"{_field}: {unusable.Message}", unusable.Detail, null, error);
            case HttpRequestException or IOException or ClientResultException { Status: 0 }:
                _counted("unreachable");
                return new ModelUnavailableException($"{_field}: the endpoint cannot be reached ({Reason(error)})", "", null, error);
            default:
                _counted("malformed");
                return new ModelRejectedException($"{_field}: the answer is not what the OpenAI API describes ({error.GetType().Name})", "", null, error);
        }
    }

    private static string Reason(Exception error) => error switch
    {
        HttpRequestException { HttpRequestError: not HttpRequestError.Unknown } http => http.HttpRequestError.ToString(),
        { InnerException: { } inner } => Reason(inner),
        _ => error.GetType().Name,
    };

    private static byte[]? Body(PipelineResponse? response)
    {
        try
        {
            return response?.Content.ToArray();
        }
        catch (InvalidOperationException)
        {
            // The content was never read.
            return null;
        }
    }

    private sealed class ClassifyOptions : ResilienceStrategyOptions;

    /// <summary>Stands between retry and timeout, so that the retry sees this part's errors.</summary>
    private sealed class Classify(ModelCalls owner) : ResilienceStrategy
    {
        protected override async ValueTask<Outcome<TResult>> ExecuteCore<TResult, TState>(
            Func<ResilienceContext, TState, ValueTask<Outcome<TResult>>> callback, ResilienceContext context, TState state)
        {
            var outcome = await callback(context, state).ConfigureAwait(context.ContinueOnCapturedContext);
            if (outcome.Exception is null)
            {
                owner._counted("ok");
                return outcome;
            }

            return Outcome.FromException<TResult>(owner.Translate(outcome.Exception));
        }
    }
}
