using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Time.Testing;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class WorkQueueTests
{
    private static readonly Backoff NoJitter = new(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(2), () => 0);

    private static WorkQueue<int> Queue(TimeProvider? time = null) => new("test", NoJitter, time ?? TimeProvider.System, new OperatorMetrics());

    private static async Task<int> TakeAsync(WorkQueue<int> queue)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var (taken, item) = await queue.TakeAsync(patience.Token);
        Assert.True(taken);
        return item;
    }

    [Fact]
    public async Task Who_can_wait_comes_after_all_others_unless_somebody_asks_again()
    {
        using var queue = Queue();
        queue.AddLast(1);
        queue.AddLast(2);
        queue.Add(3);
        queue.Add(4);
        queue.Add(2);
        Assert.Equal(4, queue.Count);
        Assert.Equal("3 4 2", $"{await TakeAsync(queue)} {await TakeAsync(queue)} {await TakeAsync(queue)}");
        foreach (var done in (int[])[3, 4, 2])
            queue.Done(done);
        Assert.Equal(1, await TakeAsync(queue));

        // While it is worked on, a wish to wait is kept for later.
        queue.AddLast(1);
        Assert.Equal(0, queue.Count);
        queue.Add(5);
        queue.Done(1);
        Assert.Equal("5 1", $"{await TakeAsync(queue)} {await TakeAsync(queue)}");
        Assert.Equal(0, queue.Count);
    }

    [Fact]
    public async Task Who_can_wait_does_while_there_is_a_crowd_and_is_called_when_it_is_gone()
    {
        using var queue = Queue();
        for (var item = 1; item <= 4; item++)
            queue.Add(item);
        for (var item = 1; item <= 4; item++)
            Assert.Equal(item, await TakeAsync(queue));
        queue.AddLast(10);
        queue.AddLast(11);
        var (first, second) = (TakeAsync(queue), TakeAsync(queue));
        queue.Done(1);
        Assert.False(first.IsCompleted || second.IsCompleted);
        queue.Add(5);
        Assert.Equal(5, await await Task.WhenAny(first, second));
        var third = TakeAsync(queue);
        queue.Done(2);
        queue.Done(3);
        Assert.Equal([5, 10, 11], (await Task.WhenAll(first, second, third)).Order());
    }

    [Fact]
    public async Task Who_can_wait_has_a_turn_however_long_the_crowd()
    {
        using var queue = Queue();
        for (var item = 1; item <= 100; item++)
            queue.Add(item);
        queue.AddLast(1001);
        queue.AddLast(1002);
        var order = new List<int>();
        for (var taken = 0; taken < 40; taken++)
            order.Add(await TakeAsync(queue));
        Assert.Equal([15, 31], [order.IndexOf(1001), order.IndexOf(1002)]);
    }

    /// <summary>Who had the turn of somebody who can wait was called for somebody else, who must not wait for that.</summary>
    [Fact]
    public async Task A_turn_of_who_can_wait_keeps_nobody_else_waiting()
    {
        using var queue = Queue();
        for (var item = 1; item <= 3; item++)
            queue.Add(item);
        for (var item = 1; item <= 3; item++)
            await TakeAsync(queue);
        queue.AddLast(1000);
        for (var item = 4; ; item++)
        {
            var taking = TakeAsync(queue);
            queue.Add(item);
            if (await taking == 1000)
            {
                Assert.Equal(item, await TakeAsync(queue));
                return;
            }
        }
    }

    [Fact]
    public async Task Who_can_wait_is_still_taken_from_a_queue_that_closes()
    {
        using var queue = Queue();
        for (var item = 1; item <= 3; item++)
            queue.Add(item);
        for (var item = 1; item <= 3; item++)
            await TakeAsync(queue);
        queue.AddLast(10);
        var waiting = TakeAsync(queue);
        queue.Close();
        Assert.Equal(10, await waiting);
        Assert.False((await queue.TakeAsync(TestContext.Current.CancellationToken)).Taken);
    }

    /// <summary>A job that is kept for a quarter of a year was an error each time: no timer runs that long.</summary>
    [Theory]
    [InlineData(90)]
    [InlineData(400_000)]
    public async Task Who_waits_for_months_is_looked_at_once_a_day(int days)
    {
        using var real = Queue();
        real.AddAfter(1, TimeSpan.FromDays(days));

        var time = new FakeTimeProvider();
        using var queue = Queue(time);
        queue.AddAfter(1, TimeSpan.FromDays(days));
        time.Advance(TimeSpan.FromHours(23));
        Assert.Equal(0, queue.Count);
        time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(1, await TakeAsync(queue));
    }

    /// <summary>
    /// Any sequence of adding, taking and giving back: nothing is worked on twice at once, nothing waits twice, and
    /// whatever was added after it was taken is taken again.
    /// </summary>
    [Property]
    public Property No_wish_is_lost_and_none_is_doubled() => Prop.ForAll(Gen.Choose(-3, 6).ListOf().ToArbitrary(), steps =>
    {
        using var queue = Queue();
        var wanted = new HashSet<int>();
        var held = new List<int>();
        foreach (var step in steps)
        {
            if (step > 3)
            {
                queue.AddLast(step - 3);
                wanted.Add(step - 3);
            }
            else if (step > 0)
            {
                queue.Add(step);
                wanted.Add(step);
            }
            else if (step == 0 && queue.Count > 0)
            {
                var taking = TakeAsync(queue);
                while (!taking.IsCompleted && held.Count > 0)
                {
                    // Those who can wait do so while there is a crowd.
                    queue.Done(held[0]);
                    held.RemoveAt(0);
                }

                var taken = taking.GetAwaiter().GetResult();
                Assert.DoesNotContain(taken, held);
                Assert.True(wanted.Remove(taken));
                held.Add(taken);
            }
            else if (held.Count > 0)
            {
                queue.Done(held[0]);
                held.RemoveAt(0);
            }

            Assert.Equal(wanted.Except(held).Count(), queue.Count);
        }

        foreach (var item in held)
            queue.Done(item);
        var rest = new HashSet<int>();
        while (queue.Count > 0)
            Assert.True(rest.Add(TakeAsync(queue).GetAwaiter().GetResult()));
        Assert.Equal(wanted.Order(), rest.Order());
    });

    [Fact]
    public void Failures_double_the_delay_up_to_a_limit_and_success_forgets_them()
    {
        using var queue = Queue();
        Assert.Equal([100, 200, 400, 800, 1600, 2000, 2000], Enumerable.Range(0, 7).Select(_ => (int)queue.AddRateLimited(1).TotalMilliseconds));
        queue.Forget(1);
        Assert.Equal(100, queue.AddRateLimited(1).TotalMilliseconds);
        Assert.Equal(100, queue.AddRateLimited(2).TotalMilliseconds);
    }

    [Property]
    public bool Jitter_never_shortens_a_delay_nor_passes_the_limit(PositiveInt failures, byte random)
    {
        var jittered = NoJitter with { Random = () => random / 256.0 };
        var delay = jittered.Delay(failures.Get);
        return delay >= NoJitter.Delay(failures.Get) && delay <= NoJitter.Most;
    }

    [Fact]
    public async Task The_earliest_of_several_delayed_wishes_counts_and_the_rest_is_forgotten()
    {
        var time = new FakeTimeProvider();
        using var queue = Queue(time);
        queue.AddAfter(1, TimeSpan.FromMinutes(5));
        queue.AddAfter(1, TimeSpan.FromMinutes(1));
        queue.AddAfter(1, TimeSpan.FromMinutes(3));
        time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(0, queue.Count);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(1, await TakeAsync(queue));
        queue.Done(1);
        time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(0, queue.Count);
    }

    [Fact]
    public async Task A_closed_queue_lets_every_worker_go()
    {
        using var queue = Queue();
        var workers = Enumerable.Range(0, 3).Select(_ => queue.TakeAsync(CancellationToken.None).AsTask()).ToList();
        queue.Close();
        Assert.All(await Task.WhenAll(workers), answer => Assert.False(answer.Taken));
    }
}
