using System.Diagnostics;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

public class WorkersTests
{
    private const long Much = 1_000_000_000;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void Each_task_runs_once_and_all_have_run_on_return(int threads)
    {
        using var workers = new Workers(threads);
        for (var round = 0; round < 2000; round++)
        {
            var tasks = 1 + round % 23;
            var runs = new int[tasks];
            workers.Run(tasks, Much, task => Interlocked.Increment(ref runs[task]));
            Assert.All(runs, count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void Work_goes_on_after_the_helpers_slept()
    {
        using var workers = new Workers(3);
        for (var round = 0; round < 20; round++)
        {
            var sum = 0;
            workers.Run(100, Much, task => Interlocked.Add(ref sum, task));
            Assert.Equal(4950, sum);
            // Longer than the helpers spin: whether they sleep by then changes nothing that can be seen.
            Thread.Sleep(2);
        }
    }

    [Fact]
    public void Ranges_cover_everything_once_at_multiples_of_the_grain()
    {
        using var workers = new Workers(3);
        foreach (var count in new[] { 1, 15, 16, 17, 100, 4096 })
        {
            var covered = new int[count];
            workers.RunRanges(count, 16, Much, (from, to) =>
            {
                Assert.Equal(0, from % 16);
                for (var i = from; i < to; i++)
                    Interlocked.Increment(ref covered[i]);
            });
            Assert.All(covered, times => Assert.Equal(1, times));
        }
    }

    [Fact]
    public void An_exception_reaches_the_caller_once_all_others_have_ended()
    {
        using var workers = new Workers(4);
        for (var round = 0; round < 200; round++)
        {
            var ended = 0;
            var error = Assert.Throws<InvalidDataException>(() => workers.Run(50, Much, task =>
            {
                if (task == 17)
                    throw new InvalidDataException("17");
                Interlocked.Increment(ref ended);
            }));
            Assert.Equal("17", error.Message);
            Assert.Equal(49, ended);
        }
        var after = 0;
        workers.Run(10, Much, _ => Interlocked.Increment(ref after));
        Assert.Equal(10, after);
    }

    [Fact]
    public void Work_inside_of_work_runs_too()
    {
        using var workers = new Workers(3);
        var runs = 0;
        workers.Run(8, Much, _ => workers.Run(8, Much, _ => Interlocked.Increment(ref runs)));
        Assert.Equal(64, runs);
    }

    [Fact]
    public async Task Callers_at_the_same_time_and_more_threads_than_processors_lose_nothing()
    {
        using var shared = new Workers(2);
        var own = Enumerable.Range(0, 4).Select(_ => new Workers(4)).ToArray();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(caller => Task.Run(() =>
        {
            var workers = caller < 4 ? own[caller] : shared;
            for (var round = 0; round < 500; round++)
            {
                var sum = 0;
                workers.Run(13, Much, task => Interlocked.Add(ref sum, task));
                Assert.Equal(78, sum);
            }
        })));
        foreach (var workers in own)
            workers.Dispose();
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void What_is_handed_over_runs_once(int threads)
    {
        using var workers = new Workers(threads);
        int ran = 0, accepted = 0, rounds = 0;
        long sum = 0;
        // On a busy machine it takes longer until a helper spins at the right moment.
        for (var since = Stopwatch.GetTimestamp(); rounds < 5000 || (accepted == 0 && Stopwatch.GetElapsedTime(since) < Eventually.Limit); rounds++)
        {
            workers.Run(4, Much, task => Interlocked.Add(ref sum, task));
            accepted += workers.TryHandOver(() => Interlocked.Increment(ref ran)) ? 1 : 0;
            // Helpers come and go meanwhile.
            Thread.SpinWait(rounds % 300);
        }
        Assert.Equal(6L * rounds, sum);
        Assert.True(accepted > 0);
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref ran) == accepted, Eventually.Limit), $"{ran} of {accepted} ran");
    }

    [Fact]
    public void Nothing_is_handed_over_where_no_helper_spins()
    {
        using var alone = new Workers(1);
        using var idle = new Workers(3);
        Assert.False(alone.TryHandOver(() => throw new InvalidOperationException()));
        Assert.False(idle.TryHandOver(() => throw new InvalidOperationException()));
    }

    [Fact]
    public void Small_work_stays_on_the_callers_thread()
    {
        using var workers = new Workers(4);
        var caller = Environment.CurrentManagedThreadId;
        workers.Run(100, 2 * Workers.WorkPerThread - 1, _ => Assert.Equal(caller, Environment.CurrentManagedThreadId));
    }
}
