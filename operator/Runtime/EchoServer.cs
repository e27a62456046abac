using System.Collections.Concurrent;
using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace Moebius.Operator.Runtime;

/// <summary>
/// An API server without a network, only for <see cref="WarmUp"/>: its lists are empty, it answers every write with what was
/// written and tells those who watch, and of everything else it says 404.
/// </summary>
/// <param name="round">Writes of a status that make a round.</param>
internal sealed class EchoServer(int round) : DelegatingHandler
{
    /// <summary>By collection. What is told before somebody watches waits for them.</summary>
    private readonly ConcurrentDictionary<string, Pipe> _watches = new();

    private TaskCompletionSource _roundIsOver = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _statuses;
    private int _answered;
    private int _version;

    /// <summary>Requests so far.</summary>
    public int Answered => _answered;

    /// <summary>Completes when a status has been written for each resource of the round that begins now.</summary>
    public Task NextRoundAsync(CancellationToken cancellationToken)
    {
        _roundIsOver = new(TaskCreationOptions.RunContinuationsAsynchronously);
        return _roundIsOver.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Tells those who watch a collection of an object, which gets a new version.</summary>
    /// <param name="collection">Path without namespace.</param>
    /// <param name="type">ADDED or MODIFIED.</param>
    /// <param name="resource">The object.</param>
    public async Task TellAsync(string collection, string type, JsonObject resource)
    {
        resource["metadata"]!["resourceVersion"] = Interlocked.Increment(ref _version).ToString(CultureInfo.InvariantCulture);
        var line = Encoding.UTF8.GetBytes($"{{\"type\":\"{type}\",\"object\":{resource.ToJsonString()}}}\n");
        var watch = Watch(collection);
        Task<FlushResult> written;
        // Writers of one collection take turns.
        lock (watch)
            written = watch.Writer.WriteAsync(line).AsTask();
        await written.ConfigureAwait(false);
    }

    /// <inheritdoc />
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _answered);
        var collection = Collection(request.RequestUri!.AbsolutePath);
        if (request.Content is null)
            return Read(collection, request.RequestUri.Query);
        var echoed = (JsonObject)JsonNode.Parse(await request.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false))!;
        var isStatus = request.Method == HttpMethod.Put;
        await TellAsync(collection, isStatus ? "MODIFIED" : "ADDED", echoed).ConfigureAwait(false);
        if (isStatus && Interlocked.Increment(ref _statuses) % round == 0)
            _roundIsOver.TrySetResult();
        return Answer(HttpStatusCode.OK, echoed);
    }

    // A writer never waits for who watches: they may be at work on what it has written.
    private Pipe Watch(string collection) => _watches.GetOrAdd(collection, static _ => new Pipe(new PipeOptions(pauseWriterThreshold: 0)));

    private HttpResponseMessage Read(string collection, string query)
    {
        if (query.Contains("watch=true", StringComparison.Ordinal))
            return new(HttpStatusCode.OK) { Content = new StreamContent(Watch(collection).Reader.AsStream()) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } } };
        return query.Contains("limit=", StringComparison.Ordinal)
            ? Answer(HttpStatusCode.OK, new JsonObject { ["metadata"] = new JsonObject { ["resourceVersion"] = "1" }, ["items"] = new JsonArray() })
            : Answer(HttpStatusCode.NotFound, new JsonObject { ["kind"] = "Status", ["code"] = 404, ["reason"] = "NotFound" });
    }

    /// <summary>Path of the collection that a path is in, of all namespaces.</summary>
    private static string Collection(string path)
    {
        var parts = path.Trim('/').Split('/');
        var group = parts[0] == "api" ? 2 : 3;
        var plural = parts.Length > group + 2 && parts[group] == "namespaces" ? parts[group + 2] : parts[group];
        return $"{string.Join('/', parts[..group])}/{plural}";
    }

    private static HttpResponseMessage Answer(HttpStatusCode code, JsonObject body) =>
        new(code) { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
}
