using System.Collections.Concurrent;
using System.Data.Common;
using Microsoft.Extensions.Logging;
using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>
/// Works a job off: asks the planner for the next step, carries it out, and starts over from what is stored. Nothing of a
/// job lives in memory between two steps, so it resumes after a crash exactly where its last stored step left it.
/// </summary>
internal sealed class JobRunner(JobStore store, RoundWorker worker, OptimizerSettings settings, JobTiming timing, PromptMetrics metrics, TimeProvider time, ILogger<JobRunner> logger)
{
    // Timers take no more than about 49 days; a longer deadline is looked at again after this.
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(40);
    private static readonly TimeSpan LongestEarly = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, CancellationTokenSource> _running = new();

    /// <summary>Jobs that a worker of this service is at.</summary>
    public IReadOnlyList<string> InHand => [.. _running.Keys];

    /// <summary>Breaks off the call that a job waits for which was cancelled, or is not this service's any more.</summary>
    public void Interrupt(string id)
    {
        if (_running.TryGetValue(id, out var source))
        {
            try
            {
                source.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // The step ended in this moment; the planner sees the request before the next.
            }
        }
    }

    /// <summary>Runs a claimed job until it has ended, waits for a later attempt, or the service stops.</summary>
    public async Task RunAsync(string id, CancellationToken stop)
    {
        string? outOfTokens = null;
        while (true)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
            _running[id] = limit;
            try
            {
                // It has ended, or another has it by now.
                if (store.Get(id) is not { State: JobState.Running } job || !store.Holds(job))
                    return;
                if (stop.IsCancellationRequested)
                {
                    PutBack(id);
                    return;
                }

                var step = JobPlanner.Next(job, settings.AcceptScorePercent, time.GetUtcNow(), outOfTokens);
                if (EndIfLast(job, step))
                    return;
                outOfTokens = await StepAsync(job, step, limit, stop).ConfigureAwait(false);
            }
            finally
            {
                _running.TryRemove(id, out _);
            }
        }
    }

    /// <summary>Ends a job whose next step is its last.</summary>
    public bool EndIfLast(Job job, Step step)
    {
        switch (step)
        {
            case Step.Finish finish:
                return End(job, JobState.Succeeded, finish.Outcome, null, finish.Outcome.Reason.ToString());
            case Step.Fail fail:
                return End(job, JobState.Failed, null, fail.Failure, fail.Failure.Reason.ToString());
            case Step.Cancel:
                return End(job, JobState.Cancelled, null, null, "Cancelled");
            default:
                return false;
        }
    }

    /// <returns>What a call said for which the tokens no longer suffice; otherwise null.</returns>
    private async Task<string?> StepAsync(Job job, Step step, CancellationTokenSource limit, CancellationToken stop)
    {
        var left = Math.Clamp((job.CurrentTurn.DeadlineAt - time.GetUtcNow()).Ticks, TimeSpan.TicksPerMillisecond, LongestTimer.Ticks);
        using var deadline = new CancellationTokenSource(TimeSpan.FromTicks(left), time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, deadline.Token);
        try
        {
            await worker.ExecuteAsync(job, step, both.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (both.IsCancellationRequested)
        {
            // Stop, cancel or deadline: the next look at the job says which, and what follows.
            if (stop.IsCancellationRequested)
                PutBack(job.Id);
            else if (deadline.IsCancellationRequested)
                await LetPassAsync(job.CurrentTurn.DeadlineAt, limit.Token).ConfigureAwait(false);
        }
        catch (BudgetExhaustedException error)
        {
            return error.Message;
        }
        catch (Exception error) when (error is not DbException)
        {
            // A store that fails is no fault of the job: that is the dispatcher's to handle.
            Handle(job, error is OperationCanceledException ? new ModelUnavailableException("the call was broken off", "", null, error) : error);
        }

        return null;
    }

    /// <summary>
    /// Timers count whole milliseconds of a clock of their own, and may end before the deadline by the clock it is told by: a
    /// look at the job then would start another call, only to break it off.
    /// </summary>
    private async Task LetPassAsync(DateTimeOffset deadline, CancellationToken cancel)
    {
        // More than a moment is a clock that was set back: the job goes on.
        while (!cancel.IsCancellationRequested && deadline - time.GetUtcNow() is { Ticks: > 0 } left && left < LongestEarly)
            await Task.Delay(left + TimeSpan.FromMilliseconds(1), time, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private void Handle(Job job, Exception error)
    {
        var decision = RetryPlanner.Decide(error, job.Attempts, time.GetUtcNow(), job.CurrentTurn.DeadlineAt, timing);
        if (decision.Failure is { } failure)
        {
            // Never the message itself: an endpoint's or a model's words may quote the prompt.
            logger.LogWarning("Job {JobId} failed: {Reason}: {Summary}", job.Id, failure.Reason, Summary(error));
            End(job, JobState.Failed, null, failure, failure.Reason.ToString());
            return;
        }

        logger.LogWarning("Job {JobId} is put back until {NotBefore:o}: {Summary}", job.Id, decision.NotBefore, Summary(error));
        metrics.JobRetried();
        store.Requeue(job.Id, decision.NotBefore, failedAttempt: true);
    }

    private static string Summary(Exception error) => error switch
    {
        ModelUnavailableException unavailable => unavailable.Summary,
        ModelRejectedException rejected => rejected.Summary,
        InvalidOutputException invalid => $"agent {invalid.Agent}",
        _ => $"{error.GetType().FullName}{Environment.NewLine}{error.StackTrace}",
    };

    private void PutBack(string id)
    {
        store.Requeue(id, notBefore: null, failedAttempt: false);
        logger.LogInformation("Job {JobId} is put back: the service stops", id);
    }

    private bool End(Job job, JobState state, Outcome? outcome, Failure? failure, string reason)
    {
        if (store.End(job.Id, state, outcome, failure))
            logger.LogInformation("Job {JobId} ended: {State} ({Reason}) after {Rounds} rounds", job.Id, state, reason, job.Rounds.Count);

        return true;
    }
}
