using Moebius.Crds.Config;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Agent;

namespace Moebius.Cxl.Hints;

/// <summary>
/// Keeps the intents of this node's pods, by listing them now and then. An API server that does not answer changes
/// nothing: the last answer stands, and the failure is reported.
/// </summary>
internal sealed partial class PodWatch(IKubernetes client, string node, IReadOnlyList<WorkloadHint> workloads, TimeSpan interval, ILogger<PodWatch> logger, IReadOnlyCollection<MemoryIntent>? allowed = null) : BackgroundService
{
    private const string HashAnnotation = "kubernetes.io/config.hash";
    private const string MirrorAnnotation = "kubernetes.io/config.mirror";
    private readonly bool _needsNamespaces = workloads.Any(workload => workload.NamespaceSelector is not null);

    /// <summary>The last answer.</summary>
    public PodIntents Current { get; private set; } = new(new Dictionary<string, MemoryIntent>(), 0);

    /// <summary>Annotations that are no intent; null without any.</summary>
    public string? Refused => Current.Refused == 0 ? null
        : $"{PodAnnotations.MemoryIntent}: {Current.Refused} pods have an annotation that is none of {string.Join(", ", Enum.GetNames<MemoryIntent>())}";

    /// <summary>Annotations that claim what the profile keeps from them; null without any.</summary>
    public string? Forbidden => Current.Forbidden == 0 ? null
        : $"policy.annotationIntents: {Current.Forbidden} pods claim by {PodAnnotations.MemoryIntent} an intent that is not in [{string.Join(", ", allowed ?? [])}]";

    /// <summary>Static pods for which more than one pod speaks; null without any.</summary>
    public string? Contested => Current.Contested == 0 ? null
        : $"{HashAnnotation}: {Current.Contested} static pods are claimed by more than one pod each, so none of these has an intent; delete the pods that are not the kubelet's";

    /// <summary>Why pods cannot be listed; null if they can.</summary>
    public string? Warning { get; private set; } = "pods: not listed yet";

    /// <summary>Lists once.</summary>
    public async Task RefreshAsync(CancellationToken cancellation)
    {
        try
        {
            // resourceVersion 0 is answered from the API server's cache.
            var pods = await client.CoreV1.ListPodForAllNamespacesAsync(fieldSelector: $"spec.nodeName={node}", resourceVersion: "0", cancellationToken: cancellation).ConfigureAwait(false);
            var namespaces = _needsNamespaces
                ? (await client.CoreV1.ListNamespaceAsync(resourceVersion: "0", cancellationToken: cancellation).ConfigureAwait(false)).Items
                : [];
            Current = HintResolver.Resolve(
                pods.Items.Select(pod => Describe(pod, node)),
                workloads,
                namespaces.ToDictionary(item => item.Metadata.Name, item => Labels(item.Metadata)),
                allowed);
            Warning = null;
        }
        catch (Exception error) when (ApiFailure.Is(error, cancellation))
        {
            if (Warning is null || !Warning.StartsWith("pods: cannot", StringComparison.Ordinal))
                LogFailure(error.Message);
            Warning = $"pods: cannot be listed: {error.Message}";
        }
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(interval);
        try
        {
            do
                await RefreshAsync(stoppingToken).ConfigureAwait(false);
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            // Told to stop.
        }
    }

    // A static pod's cgroup is named by its configuration's hash, and anybody can write that into an annotation. What only
    // this node's kubelet keeps is a mirror: a pod with both annotations that this node owns. One that somebody else made is
    // removed by the kubelet; until then two pods claim the hash, and neither is believed (HintResolver).
    internal static PodInfo Describe(V1Pod pod, string node) => new(
        StaticPodHash(pod.Metadata, node) ?? pod.Metadata.Uid,
        pod.Metadata.NamespaceProperty,
        Labels(pod.Metadata),
        pod.Metadata.Annotations?.TryGetValue(PodAnnotations.MemoryIntent, out var intent) == true ? intent : null);

    private static string? StaticPodHash(V1ObjectMeta pod, string node) =>
        pod.Annotations is { } annotations
        && annotations.TryGetValue(HashAnnotation, out var hash) && hash.Length == 32 && hash.All(char.IsAsciiHexDigitLower)
        && annotations.TryGetValue(MirrorAnnotation, out var mirrored) && mirrored == hash
        && pod.OwnerReferences?.Any(owner => owner is { ApiVersion: "v1", Kind: "Node" } && owner.Name == node) == true
            ? hash
            : null;

    private static IReadOnlyDictionary<string, string> Labels(V1ObjectMeta metadata) =>
        metadata.Labels is { } labels ? new Dictionary<string, string>(labels) : new Dictionary<string, string>();

    [LoggerMessage(10, LogLevel.Warning, "Pods cannot be listed: {Message}")]
    private partial void LogFailure(string message);
}
