using System.Globalization;
using System.Net;
using System.Text.Json;
using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>Asks pods themselves for what the API server does not know. A pod that does not answer is left out.</summary>
internal sealed class PodReports(HttpClient http)
{
    private const string GenerationMetric = "moebius_kvcache_policy_generation";
    private const string InvalidMetric = "moebius_kvcache_policy_invalid";
    private const string RefusedMetric = "moebius_kvcache_policy_refused_generation";
    private const int AtOnce = 16;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    /// <summary>Metrics of a sidecar and the status of an agent are far smaller; a pod may be anybody's.</summary>
    private const int LargestAnswer = 1 << 20;

    /// <summary>A client whose answers cannot fill the operator's memory.</summary>
    public static HttpClient Client(HttpMessageHandler handler) => new(handler, disposeHandler: false) { Timeout = Patience, MaxResponseContentBufferSize = LargestAnswer };

    /// <summary>What the sidecars of these pods say of their policy, of which this is the newest generation.</summary>
    public async Task<PolicyReport> PolicyAsync(IReadOnlyList<V1Pod> pods, long? newest, CancellationToken cancellationToken)
    {
        var answers = await AskAsync(pods, PodPaths.KVCacheMetricsPort, "/metrics", cancellationToken).ConfigureAwait(false);
        return new PolicyReport(
            answers.Select(answer => Value(answer.Text, GenerationMetric)).Where(generation => generation is not null).Min(),
            answers.Count(answer => Value(answer.Text, InvalidMetric) == 1 && Refused(answer.Text) is var refused && (refused is null || refused == newest)));
    }

    /// <summary>
    /// The generation that a sidecar refuses. Its files change up to two minutes after the policy: until then it refuses what
    /// may have been corrected. Null when it does not say, as where it cannot read the file: that is counted.
    /// </summary>
    private static long? Refused(string metrics) => Value(metrics, RefusedMetric) is > 0 and var generation ? generation : null;

    /// <summary>What the node agents say of their nodes, by name.</summary>
    public async Task<IReadOnlyList<NodeMemoryStatus>> NodesAsync(IReadOnlyList<V1Pod> pods, int port, CancellationToken cancellationToken)
    {
        var answers = await AskAsync(pods, port, "/status", cancellationToken).ConfigureAwait(false);
        return [.. answers.Select(answer => Node(answer.Pod, answer.Text)).OfType<NodeMemoryStatus>().OrderBy(node => node.Name, StringComparer.Ordinal)];
    }

    internal static long? Value(string metrics, string metric)
    {
        foreach (var line in metrics.Split('\n'))
        {
            if (line.StartsWith(metric, StringComparison.Ordinal) && line.LastIndexOf(' ') is > 0 and var space
                && double.TryParse(line[(space + 1)..], NumberStyles.Float, CultureInfo.InvariantCulture, out var value))
                return (long)value;
        }

        return null;
    }

    internal static NodeMemoryStatus? Node(V1Pod pod, string json)
    {
        if (pod.Spec?.NodeName is not { Length: > 0 } name)
            return null;
        try
        {
            // The agent says more than the status holds.
            var status = JsonSerializer.Deserialize<Answer>(json, WireJson.Options);
            return status is null ? null : new NodeMemoryStatus
            {
                Name = name,
                Level = status.Level,
                Reason = status.Reason,
                Message = status.Message is { } message ? Cut(message, NodeMemoryStatus.LongestMessage) : null,
                TelemetrySource = status.TelemetrySource,
                Kernel = status.Kernel,
                Scheduler = status.Scheduler,
                MemoryOnlyNodes = status.MemoryOnlyNodes,
                NotHonoured = status.NotHonoured is { Count: > 0 } settings
                    ? [.. settings.OfType<string>().Take(NodeMemoryStatus.MostNotHonoured).Select(setting => Cut(setting, NodeMemoryStatus.LongestNotHonoured))]
                    : null,
            };
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string Cut(string text, int longest) => text.Length > longest ? text[..longest] : text;

    private async Task<IReadOnlyList<(V1Pod Pod, string Text)>> AskAsync(IReadOnlyList<V1Pod> pods, int port, string path, CancellationToken cancellationToken)
    {
        using var gate = new SemaphoreSlim(AtOnce);
        var work = WorkMeter.Pause();
        try
        {
            var answers = await Task.WhenAll(pods
                .Where(pod => pod.Metadata.DeletionTimestamp is null && IPAddress.TryParse(pod.Status?.PodIP, out _))
                .Select(async pod =>
                {
                    await gate.WaitAsync(cancellationToken).ConfigureAwait(false);
                    try
                    {
                        return (pod, Text: await AskAsync(pod.Status.PodIP, port, path, cancellationToken).ConfigureAwait(false));
                    }
                    finally
                    {
                        gate.Release();
                    }
                })).ConfigureAwait(false);
            return [.. answers.Where(answer => answer.Text is not null).Select(answer => (answer.pod, answer.Text!))];
        }
        finally
        {
            work?.Resume();
        }
    }

    private async Task<string?> AskAsync(string address, int port, string path, CancellationToken cancellationToken)
    {
        try
        {
            return await http.GetStringAsync(new UriBuilder("http", address, port, path).Uri, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is HttpRequestException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return null;
        }
    }

    private sealed record Answer(SchedulingLevel? Level, string? Reason, string? Message, TelemetrySource? TelemetrySource, string? Kernel, string? Scheduler, int? MemoryOnlyNodes, List<string?>? NotHonoured);
}

/// <summary>What sidecars say of their policy.</summary>
/// <param name="Generation">The oldest generation that one of them runs; null when none answers.</param>
/// <param name="Refusals">How many refuse the newest one.</param>
internal sealed record PolicyReport(long? Generation, int Refusals);
