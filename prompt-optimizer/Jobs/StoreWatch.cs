using System.Data.Common;
using Microsoft.Extensions.Hosting;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>
/// What a service that shares its store has to do besides: it holds its jobs by their leases, lets go of those that it
/// could not hold, breaks off what was cancelled elsewhere, and wakes who listens to a job that another works on. It asks
/// the store again and again: that needs no connection of its own, goes through any pooler, and has nothing to miss when
/// the server was away, all of which cannot be said of LISTEN and NOTIFY.
/// </summary>
internal sealed class StoreWatch(JobStore store, JobRunner runner, JobPulses pulses, TimeProvider time) : BackgroundService
{
    /// <summary>How late what happens elsewhere is seen.</summary>
    internal static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan RenewEvery = JobStore.Lease / 3;

    /// <summary>Before another may take them, by this machine's clock: jobs are let go of when the store could not be asked for so long.</summary>
    private static readonly TimeSpan Holding = JobStore.Lease * 0.8;

    private Dictionary<string, long> _seen = [];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        // Not in the loop, which may hang on the store.
        using var letGo = time.CreateTimer(_ => InterruptAll(runner.InHand), null, Holding, Timeout.InfiniteTimeSpan);
        long? renewed = null;
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                if (renewed is not { } last || time.GetElapsedTime(last) >= RenewEvery)
                {
                    // What is in hand before the store is asked, and the time before it answers.
                    var (inHand, now) = (runner.InHand, time.GetTimestamp());
                    InterruptAll(inHand.Except(store.Renew()));
                    letGo.Change(TimeSpan.FromTicks(Math.Max(0, (Holding - time.GetElapsedTime(now)).Ticks)), Timeout.InfiniteTimeSpan);
                    renewed = now;
                }

                InterruptAll(store.CancelRequested());
                WakeListeners();
            }
            catch (DbException)
            {
                // The dispatcher tells of it.
            }

            await Task.Delay(Period, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void InterruptAll(IEnumerable<string> jobs)
    {
        foreach (var id in jobs)
            runner.Interrupt(id);
    }

    private void WakeListeners()
    {
        var listened = pulses.Jobs;
        if (listened.Count == 0)
        {
            _seen = [];
            return;
        }

        var last = store.LastEvents(listened);
        // A job that is gone has none.
        var now = listened.ToDictionary(id => id, id => last.TryGetValue(id, out var happened) ? happened : -1, StringComparer.Ordinal);
        foreach (var (id, happened) in now)
        {
            if (!_seen.TryGetValue(id, out var before) || before != happened)
                pulses.Beat(id);
        }

        _seen = now;
    }
}
