using System.Collections.Concurrent;
using System.Net.Http.Headers;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Detection.Context;

/// <summary>
/// Tier 3 (SafeKV, arXiv 2508.08438, section 4.1): asks a language model about passages that tier 2 leaves open. The only
/// place that text is sent to, and only because the policy names it. No answer in time, or one that is not to the
/// letter, is no verdict: the text stays private. Verdicts are kept under a keyed
/// hash, for each tenant its own; no text is.
/// </summary>
internal sealed class ContextChecker : IDisposable
{
    /// <summary>Calls at a time; of the passages that wait, tenants take turns.</summary>
    public const int MaxCalls = 4;

    /// <summary>Passages that may wait or be asked about; what comes on top, or is more of one tenant than there is room left, gets no verdict.</summary>
    public const int MaxPending = 512;

    private const int MaxAnswerBytes = 64 << 10;

    private readonly ContextCheckSettings _settings;
    private readonly CacheMetrics? _metrics;
    private readonly TimeProvider _time;
    private readonly HttpClient _client;
    private readonly TurnGate<TenantKey> _calls = new(MaxCalls);
    private readonly ConcurrentDictionary<UInt128, Task<bool?>> _running = [];
    private readonly VerdictCache _verdicts;
    private readonly Places<TenantKey> _pending = new(MaxPending);

    /// <param name="settings">Whom to ask, and for how long.</param>
    /// <param name="apiKey">Bearer token, or null.</param>
    /// <param name="metrics">Counters; null: none.</param>
    /// <param name="time">The clock.</param>
    public ContextChecker(ContextCheckSettings settings, string? apiKey, CacheMetrics? metrics, TimeProvider time)
    {
        (_settings, _metrics, _time) = (settings, metrics, time);
        _verdicts = new VerdictCache(settings.CacheSize);
        // A redirect would send text to somebody whom the policy does not name.
        _client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, MaxConnectionsPerServer = MaxCalls })
        {
            MaxResponseContentBufferSize = MaxAnswerBytes,
            Timeout = Timeout.InfiniteTimeSpan,
        };
        if (apiKey is not null)
            _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", apiKey);
    }

    /// <summary>Whether a passage is private; null: no verdict, so it stays private.</summary>
    /// <param name="tenant">Whose passage it is: verdicts about another's are not used.</param>
    /// <param name="context">What stands before the passage.</param>
    /// <param name="passage">The passage.</param>
    /// <param name="cancel">Ends the wait.</param>
    public Task<bool?> IsPrivateAsync(TenantKey tenant, string context, string passage, CancellationToken cancel)
    {
        var key = _verdicts.KeyOf(tenant, context, passage);
        if (_verdicts.TryGet(key, out var known))
            return Task.FromResult<bool?>(known);
        var started = new TaskCompletionSource<bool?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var running = _running.GetOrAdd(key, started.Task);
        if (running == started.Task)
            _ = AskAsync(tenant, key, context, passage, started);
        return running.WaitAsync(cancel);
    }

    public void Dispose() => _client.Dispose();

    private async Task AskAsync(TenantKey tenant, UInt128 key, string context, string passage, TaskCompletionSource<bool?> done)
    {
        bool? verdict = null;
        var hasPlace = _pending.TryTake(tenant);
        try
        {
            if (hasPlace)
                verdict = await CallAsync(tenant, context, passage);
        }
        catch (Exception error) when (error is HttpRequestException or OperationCanceledException or IOException or ObjectDisposedException or InvalidOperationException or System.Text.Json.JsonException)
        {
            // No verdict. The error may quote the answer, which may quote the text: it is counted and not logged.
        }
        finally
        {
            if (hasPlace)
                _pending.Give(tenant);
            if (verdict is { } known)
                _verdicts.Add(key, known);
            _metrics?.ContextChecks.WithLabels(verdict switch { true => "private", false => "public", null => "none" }).Inc();
            _running.TryRemove(key, out _);
            done.SetResult(verdict);
        }
    }

    private async Task<bool?> CallAsync(TenantKey tenant, string context, string passage)
    {
        // The time runs while a call waits for its turn too: nobody waits longer than the policy says.
        using var timeout = new CancellationTokenSource(_settings.Timeout, _time);
        await _calls.EnterAsync(tenant, timeout.Token);
        try
        {
            using var body = new StringContent(ContextQuestion.Write(_settings.Model, context, passage), System.Text.Encoding.UTF8, "application/json");
            using var response = await _client.PostAsync(new Uri(_settings.Url.TrimEnd('/') + "/chat/completions"), body, timeout.Token);
            return response.IsSuccessStatusCode ? ContextQuestion.Read(await response.Content.ReadAsByteArrayAsync(timeout.Token)) : null;
        }
        finally
        {
            _calls.Leave();
        }
    }
}
