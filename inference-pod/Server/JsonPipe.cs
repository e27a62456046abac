using System.IO.Pipelines;
using System.Text.Json;
using Moebius.Inference.Text;

namespace Moebius.Inference.Server;

/// <summary>
/// Writes an answer of JSON that is sent as it is written, where whoever writes it says that it may be: large ones would be many
/// megabytes in memory, and wait there for a client that reads slowly.
/// </summary>
internal sealed class JsonPipe : IAsyncDisposable
{
    /// <summary>What is written is sent in pieces of about this size.</summary>
    private const int SentBytes = 64 * 1024;

    private readonly PipeWriter _to;
    private long _sent;

    /// <param name="to">Where to.</param>
    public JsonPipe(PipeWriter to)
    {
        _to = to;
        Json = new Utf8JsonWriter(to, new JsonWriterOptions { Encoder = JsonStyles.Plain.Encoder });
    }

    /// <summary>What writes it.</summary>
    public Utf8JsonWriter Json { get; }

    /// <summary>Sends what has been written, if that is enough for a piece.</summary>
    public ValueTask SendAsync(CancellationToken stop)
    {
        // Pending is only what the writer has not yet handed on, some kilobytes at most.
        var written = Json.BytesCommitted + Json.BytesPending;
        if (written - _sent < SentBytes)
            return ValueTask.CompletedTask;
        _sent = written;
        Json.Flush();
        var flushing = _to.FlushAsync(stop);
        return flushing.IsCompletedSuccessfully ? ValueTask.CompletedTask : new ValueTask(flushing.AsTask());
    }

    public ValueTask DisposeAsync() => Json.DisposeAsync();
}
