using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Moebius.Crds.V1Alpha1;

namespace Moebius.PromptOptimizer.Models.Comfy;

/// <summary>
/// ComfyUI: a workflow is posted, waited for in ComfyUI's own queue, and its image fetched. Whoever stops waiting takes
/// the workflow out of the queue, or breaks it off. Its traces in ComfyUI's history, which hold the prompt, are removed.
/// </summary>
internal sealed class ComfyImages : IImageModel
{
    /// <summary>Longest that ComfyUI is asked to forget a workflow. Ours.</summary>
    private static readonly TimeSpan LongestFarewell = TimeSpan.FromSeconds(5);

    private readonly ImageSettings _settings;
    private readonly ModelCalls _calls;
    private readonly ImageServer _server;
    private readonly TimeProvider _time;
    private readonly TimeSpan _pollInterval;

    /// <param name="settings">Server, checkpoint, size and dialect.</param>
    /// <param name="calls">Retries, timeout and counts of single requests.</param>
    /// <param name="time">Clock.</param>
    /// <param name="pollInterval">Time between two looks at a workflow; absent for half a second.</param>
    public ComfyImages(ImageSettings settings, ModelCalls calls, TimeProvider time, TimeSpan? pollInterval = null)
    {
        (_settings, _calls, _time, _pollInterval) = (settings, calls, time, pollInterval ?? TimeSpan.FromMilliseconds(500));
        _server = new ImageServer(settings.Endpoint, calls, ComfyAnswers.Words, Hint);
    }

    public PromptDialect Dialect => _settings.Dialect;

    public bool RefusesPrompts => false;

    private string Field => _settings.Endpoint.Field;

    public async Task<GeneratedImage> GenerateAsync(ImagePrompt prompt, CancellationToken cancel)
    {
        // Releases of before 2025 choose an id of their own. A name that is known before the request can be taken back
        // even if its answer never came.
        var id = Guid.NewGuid().ToString("D");
        var ended = false;
        try
        {
            var graph = ComfyGraph.Of(_settings, prompt, RandomNumberGenerator.GetInt32(int.MaxValue));
            var queued = await _server.PostAsync("prompt", new JsonObject { ["prompt"] = graph, ["prompt_id"] = id }, cancel).ConfigureAwait(false);
            id = _server.Read(queued, "the answer to POST prompt has no prompt_id: this is not ComfyUI", root => ImageServer.Text(root.GetProperty("prompt_id")));
            var outcome = await WaitAsync(id, cancel).ConfigureAwait(false);
            ended = true;
            var file = Image(outcome);
            var query = $"filename={Uri.EscapeDataString(file.Name)}&subfolder={Uri.EscapeDataString(file.Subfolder)}&type={Uri.EscapeDataString(file.Type)}";
            var image = await _server.GetAsync($"view?{query}", cancel).ConfigureAwait(false);
            return GeneratedImage.Of(image, Field);
        }
        finally
        {
            await ForgetAsync(id, ended).ConfigureAwait(false);
        }
    }

    public void Dispose() => _server.Dispose();

    private static string Hint(int status) => status switch
    {
        401 or 403 => "give user:password or the token of the proxy as the API key",
        404 or 405 => "give the URL of ComfyUI itself, such as http://host:8188",
        _ => "",
    };

    /// <summary>Waits for the workflow. What stands before it in the queue is waited for, too; the timeout is for its own run.</summary>
    private async Task<ComfyOutcome> WaitAsync(string id, CancellationToken cancel)
    {
        var absent = 0;
        long? started = null;
        while (true)
        {
            await Task.Delay(_pollInterval, _time, cancel).ConfigureAwait(false);
            var history = await _server.GetAsync($"history/{Uri.EscapeDataString(id)}", cancel).ConfigureAwait(false);
            if (_server.Read(history, "the answer to GET history is not ComfyUI's", root => ComfyAnswers.Outcome(root, id)) is { } outcome)
                return outcome;
            var queue = await _server.GetAsync("queue", cancel).ConfigureAwait(false);
            var place = _server.Read(queue, "the answer to GET queue is not ComfyUI's", root => ComfyAnswers.Place(root, id));
            absent = place == ComfyPlace.Absent ? absent + 1 : 0;
            // Once may be the moment between queue and history.
            if (absent >= 3)
                throw new ModelUnavailableException($"{Field}: the workflow is no longer in ComfyUI's queue, nor in its history: it was removed, or ComfyUI restarted", "", null);
            if (place == ComfyPlace.Running)
                started ??= _time.GetTimestamp();
            if (started is { } since && _time.GetElapsedTime(since) > _settings.Endpoint.Timeout)
                throw new ModelUnavailableException($"{Field}: no image within {_settings.Endpoint.Timeout.TotalSeconds:0.###} s of its start (timeout)", "", null);
        }
    }

    private ComfyFile Image(ComfyOutcome outcome)
    {
        if (outcome.Interrupted)
            throw new ModelUnavailableException($"{Field}: the workflow was interrupted in ComfyUI", "", null);
        if (outcome.Error is { } error)
        {
            var detail = _calls.Detail(error);
            throw outcome.OutOfMemory
                ? new ModelUnavailableException($"{Field}: the workflow failed for lack of memory", detail, null)
                : new ModelRejectedException($"{Field}: the workflow failed", detail, null);
        }

        return outcome.Image ?? throw new ModelRejectedException($"{Field}: the workflow ended without an image: look into ComfyUI's log", "", null);
    }

    /// <summary>Leaves nothing of a workflow behind, whether it waits, runs or has ended; a server that does not answer is left alone.</summary>
    private async Task ForgetAsync(string id, bool ended)
    {
        // Not the job's own token: that one may be what ended the wait.
        using var limit = new CancellationTokenSource(LongestFarewell, _time);
        try
        {
            if (!ended)
                await BreakOffAsync(id, limit.Token).ConfigureAwait(false);
            await _server.PostOnceAsync("history", Delete(id), limit.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or ModelUnavailableException or ModelRejectedException)
        {
            // The image, or the error that is on its way, matters more.
        }
    }

    private async Task BreakOffAsync(string id, CancellationToken cancel)
    {
        await _server.PostOnceAsync("queue", Delete(id), cancel).ConfigureAwait(false);
        // Releases of before 2025 break off whatever runs, so it must be this one; the others read the id.
        if (!await RunsAsync(id, cancel).ConfigureAwait(false))
            return;
        await _server.PostOnceAsync("interrupt", new JsonObject { ["prompt_id"] = id }, cancel).ConfigureAwait(false);
        // It ends at its next step, and only then is in the history.
        while (await RunsAsync(id, cancel).ConfigureAwait(false))
            await Task.Delay(_pollInterval, _time, cancel).ConfigureAwait(false);
    }

    private async Task<bool> RunsAsync(string id, CancellationToken cancel)
    {
        var queue = await _server.GetOnceAsync("queue", cancel).ConfigureAwait(false);
        return _server.Read(queue, "the answer to GET queue is not ComfyUI's", root => ComfyAnswers.Place(root, id)) == ComfyPlace.Running;
    }

    private static JsonObject Delete(string id) => new() { ["delete"] = new JsonArray(id) };
}
