using System.Collections.Concurrent;
using System.Data.Common;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>Hands due jobs to workers, ends those whose deadline passes in the queue, and puts jobs back when the service stops.</summary>
internal sealed class JobDispatcher(JobStore store, JobRunner runner, Pulse pulse, OptimizerSettings settings, JobTiming timing, TimeProvider time, ILogger<JobDispatcher> logger) : BackgroundService
{
    // The store announces every change; this only bounds what a clock change can do.
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan DeleteEvery = TimeSpan.FromSeconds(30);
    // Others write in between.
    private static readonly TimeSpan BetweenDeletes = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan StoreRetry = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongestStoreRetry = TimeSpan.FromSeconds(30);

    /// <summary>Times in a row that the store failed a job's worker. Each attempt pays for its calls, so it waits longer each time.</summary>
    private readonly ConcurrentDictionary<string, int> _storeFaults = new();

    private long? _deleted;

    /// <summary>Whether jobs are being handed out: what readiness means.</summary>
    public bool Ready { get; private set; }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Leaves the host's start before the first look into the store.
        await Task.Yield();
        var running = new Dictionary<string, Task>();
        var started = false;
        while (!stoppingToken.IsCancellationRequested)
        {
            var changed = pulse.Next;
            var wait = store.IsShared ? StoreWatch.Period : LongestWait;
            try
            {
                foreach (var ended in running.Where(pair => pair.Value.IsCompleted).Select(pair => pair.Key).ToList())
                    running.Remove(ended);
                var lost = store.Recover(running.Keys);
                if (lost > 0)
                    logger.LogWarning("{Count} jobs ran without a worker, {Since}; they resume", lost, store.IsShared ? "after a fault of a service" : started ? "after a fault of this service" : "since the service last stopped");
                started = true;
                EndExpired();
                if (DeleteOld() is { } more)
                    wait = more;
                while (running.Count < settings.Workers && store.Claim(running.Keys) is { } id)
                    running.Add(id, Task.Run(() => RunAsync(id, stoppingToken), CancellationToken.None));
                if (!store.FinishPurges() && wait > StoreRetry)
                    wait = StoreRetry;
                Ready = true;
                if (store.NextDue(running.Count < settings.Workers) is { } due)
                    wait = TimeSpan.FromTicks(Math.Clamp((due - time.GetUtcNow()).Ticks, TimeSpan.TicksPerMillisecond, wait.Ticks));
            }
            catch (DbException error)
            {
                // A full disk may get room again; until then the service says that it is not ready.
                Ready = false;
                wait = StoreRetry;
                logger.LogError("The store does not answer ({Cause}); trying again in {Seconds} s", StoreFaults.Words(error), StoreRetry.TotalSeconds);
                changed = Task.Delay(Timeout.Infinite, stoppingToken);
            }

            await WaitAsync(changed, running.Values, wait, stoppingToken).ConfigureAwait(false);
        }

        Ready = false;
        await Task.WhenAll(running.Values).ConfigureAwait(false);
    }

    private async Task WaitAsync(Task changed, IReadOnlyCollection<Task> running, TimeSpan wait, CancellationToken stop)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var timer = Task.Delay(wait, time, both.Token);
        // One that has ended since the look counts: its place is free, and nothing else may tell.
        await Task.WhenAny([changed, timer, .. running]).ConfigureAwait(false);
        await both.CancelAsync().ConfigureAwait(false);
    }

    /// <summary>Deletes what has been kept long enough, now and then.</summary>
    /// <returns>The wait until there is more to delete; null: nothing is to be waited for.</returns>
    private TimeSpan? DeleteOld()
    {
        if (settings.Jobs.Retention is not { } keep || (_deleted is { } last && time.GetElapsedTime(last) < DeleteEvery))
            return null;
        try
        {
            if (store.DeleteEnded(time.GetUtcNow() - keep) == JobStore.MostDeleted)
                return BetweenDeletes;
        }
        catch (DbException error)
        {
            // A disk may be too full to delete on, and have room for what is to be done.
            logger.LogError("What has been kept long enough cannot be deleted ({Cause}); trying again in {Seconds} s", StoreFaults.Words(error), DeleteEvery.TotalSeconds);
        }

        _deleted = time.GetTimestamp();
        return null;
    }

    private void EndExpired()
    {
        foreach (var id in store.Expired())
        {
            try
            {
                if (store.Get(id) is { } job)
                    runner.EndIfLast(job, JobPlanner.Next(job, settings.AcceptScorePercent, time.GetUtcNow()));
            }
            catch (Exception error) when (error is not DbException)
            {
                Fault(id, error)();
            }
        }
    }

    /// <summary>Tells of a fault of this program, or of a job that cannot be read: it must not leave a job that seems to run for ever, nor end the service.</summary>
    /// <returns>What ends the job.</returns>
    private Action Fault(string id, Exception error)
    {
        if (error is UnreadableJobException)
            logger.LogError("{Problem}", error.Message);
        else
            logger.LogError("Job {JobId} failed on an internal error: {Type}{NewLine}{Stack}", id, error.GetType().FullName, Environment.NewLine, error.StackTrace);
        var cause = error is UnreadableJobException ? error.Message : error.GetType().Name;
        return () => store.End(id, JobState.Failed, null, new(FailureReason.InternalError, $"internal error ({cause})"));
    }

    private async Task RunAsync(string id, CancellationToken stop)
    {
        Action settle;
        try
        {
            await runner.RunAsync(id, stop).ConfigureAwait(false);
            _storeFaults.TryRemove(id, out _);
            return;
        }
        catch (DbException error)
        {
            var wait = RetryPlanner.BackOff(_storeFaults.AddOrUpdate(id, 1, (_, faults) => faults + 1) - 1, timing);
            logger.LogError("Job {JobId}: the store does not answer ({Cause}); its finished rounds are kept", id, StoreFaults.Words(error));
            settle = () => store.Requeue(id, time.GetUtcNow() + wait, failedAttempt: false);
        }
        catch (Exception error)
        {
            settle = Fault(id, error);
        }

        // The worker stays with its job until the store can say so; a stop leaves that to the next start.
        for (var wait = StoreRetry; !stop.IsCancellationRequested; wait = wait < LongestStoreRetry ? 2 * wait : LongestStoreRetry)
        {
            try
            {
                settle();
                return;
            }
            catch (DbException error)
            {
                logger.LogError("Job {JobId}: the store does not take its end ({Cause}); trying again in {Seconds} s", id, StoreFaults.Words(error), wait.TotalSeconds);
                await Task.Delay(wait, time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }
}
