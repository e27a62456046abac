using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Moebius.Crds;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Api;

/// <summary>
/// A job's events as server-sent events: all that happened so far, then what happens, until the job has ended. Events are
/// stored, so a client that comes back with <c>Last-Event-ID</c> misses none, not even across a restart.
/// </summary>
internal sealed class JobEvents(JobStore store, JobPulses pulses, OptimizerSettings settings, TimeProvider time, IHostApplicationLifetime lifetime)
{
    // Proxies close connections that say nothing for long.
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(15);

    public async Task StreamAsync(string id, HttpContext context)
    {
        var after = LastEventId(context.Request);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.ApplicationStopping);
        context.Response.ContentType = "text/event-stream; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers["X-Accel-Buffering"] = "no";
        var pulse = pulses.Join(id);
        try
        {
            while (true)
            {
                var changed = pulse.Next;
                // The job before its events: an end seen here is among the events read after it.
                if (store.Get(id) is not { } job)
                    return;
                foreach (var happened in store.Events(id, after))
                {
                    await context.Response.WriteAsync(Format(job, happened), ending.Token).ConfigureAwait(false);
                    after = happened.Id;
                }

                await context.Response.Body.FlushAsync(ending.Token).ConfigureAwait(false);
                if (job.Ended)
                    return;
                await WaitAsync(changed, context.Response, ending.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            // The client left, or the service stops: the client comes back with the last id.
        }
        finally
        {
            pulses.Leave(id);
        }
    }

    private async Task WaitAsync(Task changed, HttpResponse response, CancellationToken cancel)
    {
        while (true)
        {
            using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            var first = await Task.WhenAny(changed, Task.Delay(KeepAlive, time, waiting.Token)).ConfigureAwait(false);
            await waiting.CancelAsync().ConfigureAwait(false);
            cancel.ThrowIfCancellationRequested();
            if (first == changed)
                return;
            await response.WriteAsync(": keep-alive\n\n", cancel).ConfigureAwait(false);
            await response.Body.FlushAsync(cancel).ConfigureAwait(false);
        }
    }

    private string Format(Job job, JobEvent happened)
    {
        var data = happened.Type switch
        {
            "step" => new { agent = happened.Subject, at = happened.At },
            "round" => Round(job, happened.Subject),
            "ended" => new { state = happened.Subject, at = happened.At },
            _ => new { at = happened.At },
        };
        // JSON on one line: a line break inside a text is escaped, so no text can end the event or start another.
        return string.Create(CultureInfo.InvariantCulture, $"id: {happened.Id}\nevent: {happened.Type}\ndata: {JsonSerializer.Serialize(data, Manifests.Json)}\n\n");
    }

    private object? Round(Job job, string? number)
    {
        // Stored after the job was read: read it again.
        var found = job.Rounds.Any(round => IsNumber(round, number)) ? job : store.Get(job.Id);
        if (found is null)
            return null;
        var index = found.Rounds.ToList().FindIndex(round => IsNumber(round, number));
        return index < 0 ? null : RoundView.Of(found, found.Rounds[index], JobPlanner.Verdicts(found, settings.AcceptScorePercent)[index]);
    }

    private static bool IsNumber(Round round, string? number) => round.Number.ToString(CultureInfo.InvariantCulture) == number;

    private static long LastEventId(HttpRequest request)
    {
        var (name, text) = ("Last-Event-ID", request.Headers["Last-Event-ID"].ToString());
        if (text.Length == 0)
            (name, text) = ("after", request.Query["after"].ToString());
        if (text.Length == 0)
            return 0;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            ? id
            : throw new ProblemException(Problem.Of(name, "write the id of the last event received"));
    }
}
