using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>Hands due jobs to workers, ends those whose deadline passes in the queue, and puts jobs back when the service stops.</summary>
internal sealed class JobDispatcher(JobStore store, JobRunner runner, Pulse pulse, OptimizerSettings settings, TimeProvider time, ILogger<JobDispatcher> logger) : BackgroundService
{
    // The store announces every change; this only bounds what a clock change can do.
    private static readonly TimeSpan _longestWait = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan _storeRetry = TimeSpan.FromSeconds(2);

    /// <summary>Whether jobs are being handed out: what readiness means.</summary>
    public bool Ready { get; private set; }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Leaves the host's start before the first look into the store.
        await Task.Yield();
        var running = new List<Task>();
        var recovered = false;
        while (!stoppingToken.IsCancellationRequested)
        {
            var changed = pulse.Next;
            var wait = _longestWait;
            try
            {
                if (!recovered)
                {
                    var count = store.Recover();
                    if (count > 0)
                        logger.LogInformation("{Count} jobs were in hand when the service last stopped; they resume", count);
                    recovered = true;
                }

                EndExpired();
                running.RemoveAll(task => task.IsCompleted);
                while (running.Count < settings.Workers && store.Claim() is { } job)
                    running.Add(Task.Run(() => RunAsync(job.Id, stoppingToken), CancellationToken.None));
                Ready = true;
                if (store.NextDue(running.Count < settings.Workers) is { } due)
                    wait = TimeSpan.FromTicks(Math.Clamp((due - time.GetUtcNow()).Ticks, TimeSpan.TicksPerMillisecond, _longestWait.Ticks));
            }
            catch (SqliteException error)
            {
                // A full disk may get room again; until then the service says that it is not ready.
                Ready = false;
                wait = _storeRetry;
                logger.LogError("The store does not answer ({Code}); trying again in {Seconds} s", error.SqliteExtendedErrorCode, _storeRetry.TotalSeconds);
                changed = Task.Delay(Timeout.Infinite, stoppingToken);
            }

            await WaitAsync(changed, running, wait, stoppingToken).ConfigureAwait(false);
        }

        Ready = false;
        await Task.WhenAll(running).ConfigureAwait(false);
    }

    private async Task WaitAsync(Task changed, List<Task> running, TimeSpan wait, CancellationToken stop)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var timer = Task.Delay(wait, time, both.Token);
        await Task.WhenAny([changed, timer, .. running.Where(task => !task.IsCompleted)]).ConfigureAwait(false);
        await both.CancelAsync().ConfigureAwait(false);
    }

    private void EndExpired()
    {
        foreach (var job in store.Expired())
            runner.EndIfLast(job, JobPlanner.Next(job, settings.AcceptScorePercent, time.GetUtcNow()));
    }

    private async Task RunAsync(string id, CancellationToken stop)
    {
        try
        {
            await runner.RunAsync(id, stop).ConfigureAwait(false);
            return;
        }
        catch (SqliteException error)
        {
            logger.LogError("Job {JobId}: the store does not answer ({Code}); its finished rounds are kept", id, error.SqliteExtendedErrorCode);
        }

        catch (Exception error)
        {
            // A fault of this program, not of the store: it must not leave a job that seems to run for ever.
            logger.LogError("Job {JobId} failed on an internal error: {Type}{NewLine}{Stack}", id, error.GetType().FullName, Environment.NewLine, error.StackTrace);
            store.End(id, JobState.Failed, null, new(FailureReason.InternalError, $"internal error ({error.GetType().Name})"));
            return;
        }

        // The worker stays with its job until the store can say so; a stop leaves that to the next start.
        while (!stop.IsCancellationRequested)
        {
            await Task.Delay(_storeRetry, time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            try
            {
                store.Requeue(id, notBefore: null, failedAttempt: true);
                return;
            }
            catch (SqliteException)
            {
                // Still not.
            }
        }
    }
}
