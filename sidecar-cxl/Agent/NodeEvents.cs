using System.Globalization;
using System.Net;
using System.Threading.Channels;
using k8s;
using k8s.Autorest;
using k8s.Models;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Moebius.Cxl.Agent;

/// <summary>
/// Writes the agent's events about its node to the API server, without ever keeping the agent waiting. One that cannot be
/// written is tried again until it can, and those after it wait, up to 256; the same event again within a while is left out.
/// </summary>
internal sealed partial class NodeEvents(IKubernetes client, string node, TimeProvider time, ILogger<NodeEvents> logger) : BackgroundService
{
    /// <summary>Events about what has no namespace live there.</summary>
    internal const string Namespace = "default";

    private const string Component = "moebius-node-agent";
    private const int LongestMessage = 1024;
    private static readonly TimeSpan SameFor = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

    private readonly Channel<NodeEvent> _pending = Channel.CreateBounded<NodeEvent>(new BoundedChannelOptions(256) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Dictionary<NodeEvent, long> _written = [];

    /// <summary>What is wrong; null if nothing is.</summary>
    public string? Warning { get; private set; }

    /// <summary>Takes an event to be written.</summary>
    public void Add(NodeEvent happened) => _pending.Writer.TryWrite(happened);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await foreach (var happened in _pending.Reader.ReadAllAsync(stoppingToken).ConfigureAwait(false))
                await WriteAsync(happened, stoppingToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // Told to stop.
        }
    }

    private async Task WriteAsync(NodeEvent happened, CancellationToken cancellation)
    {
        var now = time.GetUtcNow();
        foreach (var old in _written.Where(pair => time.GetElapsedTime(pair.Value) >= SameFor).Select(pair => pair.Key).ToList())
            _written.Remove(old);
        if (_written.ContainsKey(happened))
            return;
        for (var pause = FirstPause; ; pause = pause * 2 < LongestPause ? pause * 2 : LongestPause)
        {
            try
            {
                await CreateAsync(happened, now, cancellation).ConfigureAwait(false);
                _written[happened] = time.GetTimestamp();
                Warning = null;
                return;
            }
            catch (Exception error) when (ApiFailure.Is(error, cancellation))
            {
                if (Warning is null)
                    LogFailure(error.Message);
                Warning = $"events: cannot be written: {error.Message}";
                // It would be refused for ever, and those after it would never be told.
                if (error is HttpOperationException { Response.StatusCode: HttpStatusCode.BadRequest or HttpStatusCode.UnprocessableEntity })
                    return;
            }

            await Task.Delay(pause, time, cancellation).ConfigureAwait(false);
        }
    }

    private Task CreateAsync(NodeEvent happened, DateTimeOffset now, CancellationToken cancellation) =>
        client.CoreV1.CreateNamespacedEventAsync(
            new Corev1Event
            {
                Metadata = new V1ObjectMeta { Name = string.Create(CultureInfo.InvariantCulture, $"{node}.{Guid.NewGuid():N}"), NamespaceProperty = Namespace },
                // As the kubelet does: the agent need not read Nodes to learn the real UID, and kubectl describe finds both.
                InvolvedObject = new V1ObjectReference { ApiVersion = "v1", Kind = "Node", Name = node, Uid = node },
                Type = happened.Warning ? "Warning" : "Normal",
                Reason = happened.Reason,
                Message = happened.Message.Length > LongestMessage ? happened.Message[..LongestMessage] : happened.Message,
                Source = new V1EventSource { Component = Component, Host = node },
                ReportingComponent = Component,
                ReportingInstance = node,
                FirstTimestamp = now.UtcDateTime,
                LastTimestamp = now.UtcDateTime,
                Count = 1,
            },
            Namespace,
            cancellationToken: cancellation);

    [LoggerMessage(11, LogLevel.Warning, "Events cannot be written: {Message}")]
    private partial void LogFailure(string message);
}
