using Microsoft.Extensions.Logging.Abstractions;
using Moebius.PromptOptimizer.Jobs;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Tests.Jobs;

/// <summary>The end of a job's time in the middle of a call.</summary>
public sealed class JobDeadlineTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>A timer counts whole milliseconds of another clock: it may be early by the clock that deadlines are told by.</summary>
    [Fact]
    public async Task A_timer_that_is_early_starts_no_further_call()
    {
        using var database = new SqliteDatabase(_folder.Path);
        var time = new EarlyTimers();
        var store = new JobStore(database, time);
        var metrics = new PromptMetrics();
        var model = new SilentModel();
        var settings = new OptimizerSettings(new("languageModel", new("http://x/v1/"), "m", null, TimeSpan.FromMinutes(1)), null, null, 80, new(3, 50000, 0, TimeSpan.FromMinutes(1)), 1);
        var runner = new JobRunner(store, new RoundWorker(new(model, null, null), store, metrics, time), settings, JobTiming.Default, metrics, time, NullLogger<JobRunner>.Instance);
        var id = store.Create(new(null, "x", "a lion", [], new(3, 50000, 0, TimeSpan.FromMilliseconds(400)))).Job!.Id;
        Assert.Equal(id, store.Claim([]));
        await Eventually.EndsAsync(runner.RunAsync(id, TestContext.Current.CancellationToken));
        Assert.Equal(FailureReason.DeadlineExceeded, store.Get(id)!.Failure!.Reason);
        Assert.Equal(1, model.Calls);
    }

    private sealed class SilentModel : IChatModel
    {
        public int Calls { get; private set; }

        public async Task<ChatAnswer> AskAsync(ChatQuestion question, TokenMeter meter, CancellationToken cancel)
        {
            Calls++;
            await Task.Delay(Timeout.Infinite, cancel);
            throw new InvalidOperationException();
        }
    }

    /// <summary>The system's clock with timers that end a little too soon.</summary>
    private sealed class EarlyTimers : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, dueTime > TimeSpan.FromMilliseconds(100) ? dueTime - TimeSpan.FromMilliseconds(50) : dueTime, period);
    }
}
