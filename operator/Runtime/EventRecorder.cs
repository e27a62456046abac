using System.Text.Json.Nodes;
using System.Threading.Channels;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Tells people about transitions through Events. The same event within a while is counted up instead of repeated, and
/// a reconciliation never waits for one.
/// </summary>
[EntityRbac(typeof(Corev1Event), Verbs = RbacVerbs.Create | RbacVerbs.Patch)]
internal sealed class EventRecorder(ApiClient api, string identity, TimeProvider time, ILogger<EventRecorder> logger)
{
    private const int MaxMessage = 1024;
    private const int MaxName = 253 - 1 - 32;
    private static readonly TimeSpan SameFor = TimeSpan.FromMinutes(10);

    private readonly Channel<Note> _notes = Channel.CreateBounded<Note>(new BoundedChannelOptions(1024) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Dictionary<(string Uid, string Type, string Reason, string Message), Sent> _sent = [];
    private readonly Dictionary<(string? Namespace, string Message), DateTimeOffset> _lacks = [];

    /// <summary>Compares conditions before and after, and reports what a person would want to know.</summary>
    public void Transitions(IKubernetesObject<V1ObjectMeta> about, IEnumerable<V1Condition>? before, IEnumerable<V1Condition>? after)
    {
        var known = (before ?? []).DistinctBy(condition => condition.Type).ToDictionary(condition => condition.Type);
        foreach (var condition in after ?? [])
        {
            known.TryGetValue(condition.Type, out var old);
            if (old is not null && old.Status == condition.Status && old.Reason == condition.Reason)
                continue;
            if (Severity(condition, old) is { } type && IsNews(about.Metadata.NamespaceProperty, condition))
                _notes.Writer.TryWrite(new Note(about, type, condition.Reason, condition.Message ?? ""));
        }
    }

    /// <summary>Reports what no condition can tell any more, such as of a resource that goes.</summary>
    public void Warn(IKubernetesObject<V1ObjectMeta> about, string reason, string message) => _notes.Writer.TryWrite(new Note(about, "Warning", reason, message));

    /// <summary>
    /// What the server lacks it lacks for all: in each namespace the Event of one resource says it, and the condition of every
    /// one. A thousand resources that are made at once wait for their children, not for a thousand Events.
    /// </summary>
    private bool IsNews(string? @namespace, V1Condition condition)
    {
        if (condition is not { Type: ConditionTypes.Degraded, Status: "True", Reason: Reasons.ServerCapabilityMissing })
            return true;
        var now = time.GetUtcNow();
        lock (_lacks)
        {
            if (_lacks.TryGetValue((@namespace, condition.Message ?? ""), out var said) && now - said < SameFor)
                return false;
            if (_lacks.Count > 4096)
                _lacks.Clear();
            _lacks[(@namespace, condition.Message ?? "")] = now;
            return true;
        }
    }

    /// <summary>Sends what is recorded until stopped.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var note in _notes.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                try
                {
                    await SendAsync(note, cancellationToken).ConfigureAwait(false);
                }
                catch (Exception error) when (error is ApiException or HttpRequestException or IOException or TimeoutException)
                {
                    logger.LogDebug("Event {Reason} for {Key} is lost: {Error}", note.Reason, ObjectKey.Of(note.About), error.Message);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
    }

    /// <summary>Warning, Normal, or null for what is not worth an event.</summary>
    private static string? Severity(V1Condition condition, V1Condition? old) => condition.Type switch
    {
        ConditionTypes.Degraded or ConditionTypes.Failed => condition.Status == "True" ? "Warning" : old?.Status == "True" ? "Normal" : null,
        ConditionTypes.Accepted when condition.Status == "False" => "Warning",
        ConditionTypes.Ready or ConditionTypes.Complete or ConditionTypes.Accepted => condition.Status == "True" || old?.Status == "True" ? "Normal" : null,
        ConditionTypes.Paused => condition.Status == "False" ? "Warning" : null,
        ConditionTypes.NodesAsExpected => condition.Status == "False" ? "Warning" : old?.Status == "False" ? "Normal" : null,
        ConditionTypes.ModelLoaded => condition.Status == "True" ? "Normal" : condition.Reason is Reasons.ModelRefused or Reasons.ContainerFailed ? "Warning" : null,
        _ => null,
    };

    private async Task SendAsync(Note note, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var message = note.Message.Length > MaxMessage ? note.Message[..MaxMessage] : note.Message;
        var key = (note.About.Metadata.Uid, note.Type, note.Reason, message);
        if (_sent.TryGetValue(key, out var earlier) && now - earlier.First < SameFor)
        {
            var again = earlier with { Count = earlier.Count + 1 };
            await api.MergeAsync(earlier.Path, new JsonObject { ["count"] = again.Count, ["lastTimestamp"] = Time(now) }, cancellationToken).ConfigureAwait(false);
            _sent[key] = again;
            return;
        }

        if (_sent.Count > 4096)
            _sent.Clear();
        var @namespace = note.About.Metadata.NamespaceProperty ?? "default";
        // The longest name of a resource has no room for more behind it.
        var about = note.About.Metadata.Name;
        var name = $"{(about.Length > MaxName ? about[..MaxName].TrimEnd('.', '-') : about)}.{Guid.NewGuid():N}";
        var collection = $"api/v1/namespaces/{@namespace}/events";
        await api.CreateAsync(
            collection,
            new JsonObject
            {
                ["apiVersion"] = "v1",
                ["kind"] = "Event",
                ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = @namespace },
                ["involvedObject"] = new JsonObject
                {
                    ["apiVersion"] = note.About.ApiVersion,
                    ["kind"] = note.About.Kind,
                    ["namespace"] = note.About.Metadata.NamespaceProperty,
                    ["name"] = note.About.Metadata.Name,
                    ["uid"] = note.About.Metadata.Uid,
                },
                ["type"] = note.Type,
                ["reason"] = note.Reason,
                ["message"] = message,
                ["source"] = new JsonObject { ["component"] = Labels.Manager },
                ["reportingComponent"] = Labels.Manager,
                ["reportingInstance"] = identity,
                ["firstTimestamp"] = Time(now),
                ["lastTimestamp"] = Time(now),
                ["count"] = 1,
            },
            cancellationToken).ConfigureAwait(false);
        _sent[key] = new Sent($"{collection}/{name}", now, 1);
    }

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", System.Globalization.CultureInfo.InvariantCulture);

    private sealed record Note(IKubernetesObject<V1ObjectMeta> About, string Type, string Reason, string Message);

    private sealed record Sent(string Path, DateTimeOffset First, int Count);
}
