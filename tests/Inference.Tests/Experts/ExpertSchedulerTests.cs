using Moebius.Inference.Experts;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Experts;

public class ExpertSchedulerTests
{
    [Fact]
    public void A_load_ahead_that_is_done_is_a_hit_and_one_on_its_way_a_miss()
    {
        var scheduler = new ExpertScheduler(new ExpertCache(4));
        scheduler.Plan([new PrefetchRequest(new(1, 0), 1), new PrefetchRequest(new(1, 1), 0.5f)]);
        Assert.True(scheduler.TryBegin(out var first));
        Assert.Equal(new ExpertKey(1, 0), first.Key);
        Assert.False(scheduler.Complete(first.Key));
        Assert.True(scheduler.TryBegin(out var second));
        Assert.True(scheduler.TryUse(first.Key, out var slot));
        Assert.Equal(first.Slot, slot);
        Assert.False(scheduler.TryUse(second.Key, out _));
        Assert.False(scheduler.TryBegin(out _));
        Assert.True(scheduler.Complete(second.Key));
        Assert.Equal((1, 1, 1, 2), (scheduler.Hits, scheduler.Misses, scheduler.Late, scheduler.Prefetched));
        Assert.Equal(0, scheduler.Cache.OverFetched);
    }

    [Fact]
    public void A_plan_replaces_the_one_before()
    {
        var scheduler = new ExpertScheduler(new ExpertCache(4));
        scheduler.Plan([new PrefetchRequest(new(1, 0), 1), new PrefetchRequest(new(1, 1), 1)]);
        Assert.True(scheduler.TryBegin(out var begun));
        scheduler.Plan([new PrefetchRequest(new(2, 0), 1), new PrefetchRequest(new(1, 0), 1)]);
        Assert.Equal((1, 1), (scheduler.Waiting, scheduler.Running));
        Assert.True(scheduler.TryBegin(out var next));
        Assert.Equal((new ExpertKey(1, 0), new ExpertKey(2, 0)), (begun.Key, next.Key));
    }

    [Fact]
    public void What_a_standing_plan_says_of_a_layer_that_has_run_is_over()
    {
        var scheduler = new ExpertScheduler(new ExpertCache(4));
        scheduler.Plan([new PrefetchRequest(new(0, 0), 1), new PrefetchRequest(new(0, 1), 1), new PrefetchRequest(new(1, 0), 1)]);
        scheduler.TryUse(new(0, 2), out _);
        Assert.Equal(4, scheduler.Waiting);
        scheduler.TryUse(new(1, 1), out _);
        Assert.Equal(3, scheduler.Waiting);
        Assert.True(scheduler.TryBegin(out _) && scheduler.TryBegin(out _) && scheduler.TryBegin(out var ahead) && ahead.Key == new ExpertKey(1, 0));
    }

    [Fact]
    public void Misses_are_told_apart_by_what_was_known_of_them()
    {
        var scheduler = new ExpertScheduler(new ExpertCache(2));
        Run(0, 0);
        Run(1, 0);
        // Both buffers are taken: the second step's layer 0 finds what it used evicted by layer 1's other expert.
        Run(1, 1);
        Assert.Equal(0, scheduler.EvictedEarly);
        Run(0, 0);
        Assert.Equal(1, scheduler.EvictedEarly);
        Run(0, 1);
        scheduler.Plan([new PrefetchRequest(new(1, 2), 1), new PrefetchRequest(new(1, 3), 1)]);
        Assert.True(scheduler.TryBegin(out _));
        Assert.False(scheduler.TryUse(new(1, 2), out _));
        Assert.False(scheduler.TryUse(new(1, 3), out _));
        Assert.Equal((7, 1, 1, 1), (scheduler.Misses, scheduler.Late, scheduler.Queued, scheduler.EvictedEarly));

        void Run(int layer, int expert)
        {
            Assert.False(scheduler.TryUse(new(layer, expert), out _));
            Assert.True(scheduler.TryBegin(out var transfer));
            Assert.True(scheduler.Complete(transfer.Key));
            scheduler.Release(transfer.Key);
        }
    }

    [Fact]
    public void Only_so_many_loads_ahead_are_on_their_way_at_once_and_demands_do_not_count()
    {
        var scheduler = new ExpertScheduler(new ExpertCache(8), aheadAtOnce: 2);
        scheduler.Plan([.. Enumerable.Range(0, 5).Select(e => new PrefetchRequest(new(1, e), 1))]);
        Assert.True(scheduler.TryBegin(out var first));
        Assert.True(scheduler.TryBegin(out _));
        Assert.False(scheduler.TryBegin(out _));
        Assert.False(scheduler.TryUse(new(0, 0), out _));
        Assert.True(scheduler.TryBegin(out var demanded));
        Assert.Equal(new ExpertKey(0, 0), demanded.Key);
        Assert.False(scheduler.TryBegin(out _));
        scheduler.Complete(first.Key);
        Assert.True(scheduler.TryBegin(out _));
        scheduler.Filling = true;
        Assert.True(scheduler.TryBegin(out _));
    }

    [Fact]
    public void A_failed_load_is_told_to_who_waits_and_can_be_asked_for_again()
    {
        var scheduler = new ExpertScheduler(new ExpertCache(1));
        Assert.False(scheduler.TryUse(new(0, 0), out _));
        Assert.True(scheduler.TryBegin(out var transfer));
        Assert.True(scheduler.Fail(transfer.Key));
        Assert.False(scheduler.TryUse(new(0, 0), out _));
        Assert.True(scheduler.TryBegin(out transfer));
        Assert.True(scheduler.Complete(transfer.Key));
        scheduler.Release(transfer.Key);
    }

    [Fact]
    public void A_load_ahead_that_failed_counts_no_longer_among_those_on_their_way()
    {
        var scheduler = new ExpertScheduler(new ExpertCache(4), aheadAtOnce: 1);
        scheduler.Plan([new PrefetchRequest(new(1, 0), 1), new PrefetchRequest(new(1, 1), 1)]);
        Assert.True(scheduler.TryBegin(out var transfer));
        Assert.False(scheduler.TryBegin(out _));
        Assert.False(scheduler.Fail(transfer.Key));
        Assert.True(scheduler.TryBegin(out transfer));
        Assert.Equal(new ExpertKey(1, 1), transfer.Key);
    }

    [Fact]
    public void What_nobody_waits_for_any_more_is_not_loaded()
    {
        var scheduler = new ExpertScheduler(new ExpertCache(4));
        Assert.False(scheduler.TryUse(new(0, 0), out _));
        scheduler.Abandon(new(0, 0));
        Assert.Equal((0, 0), (scheduler.Waiting, scheduler.Demanded));
        Assert.False(scheduler.TryBegin(out _));
    }

    [Fact]
    public void What_is_in_the_plan_no_longer_gives_way_to_what_is()
    {
        var scheduler = new ExpertScheduler(new ExpertCache(1));
        foreach (var expert in new[] { 0, 1 })
        {
            scheduler.Plan([new PrefetchRequest(new(1, expert), 1)]);
            Assert.True(scheduler.TryBegin(out var transfer));
            Assert.False(scheduler.Complete(transfer.Key));
        }
    }

    /// <summary>
    /// Steps of random routing through layers, with random plans, loads that end in random order and some that fail:
    /// every expert that a layer uses is handed out, within the budget, and nothing is left over.
    /// </summary>
    [Property]
    public void Every_use_is_served_whatever_is_planned(AnyInt seed, byte slots)
    {
        var random = new Random(seed.Item);
        const int Layers = 3, Experts = 6;
        var scheduler = new ExpertScheduler(new ExpertCache(slots % 8 + 1));
        var running = new List<Transfer>();
        long uses = 0;
        for (var step = 0; step < 12; step++)
        {
            for (var layer = 0; layer < Layers; layer++)
            {
                var missing = new List<ExpertKey>();
                foreach (var expert in Enumerable.Range(0, Experts).OrderBy(_ => random.Next()).Take(1 + random.Next(Experts)))
                {
                    uses++;
                    var key = new ExpertKey(layer, expert);
                    if (scheduler.TryUse(key, out _))
                        scheduler.Release(key);
                    else
                        missing.Add(key);
                }
                scheduler.Plan([.. Enumerable.Range(0, random.Next(6)).Select(_ => new PrefetchRequest(new(random.Next(Layers), random.Next(Experts)), random.NextSingle()))]);
                while (missing.Count > 0)
                {
                    while (running.Count < 3 && scheduler.TryBegin(out var transfer))
                        running.Add(transfer);
                    Assert.NotEmpty(running);
                    var i = random.Next(running.Count);
                    var done = running[i];
                    running.RemoveAt(i);
                    if (random.Next(5) == 0)
                    {
                        if (scheduler.Fail(done.Key))
                        {
                            // Whoever waits asks again.
                            Assert.False(scheduler.TryUse(done.Key, out _));
                            uses++;
                        }
                    }
                    else if (scheduler.Complete(done.Key))
                    {
                        Assert.True(missing.Remove(done.Key));
                        scheduler.Release(done.Key);
                    }
                    Assert.InRange(scheduler.Cache.Count, 0, scheduler.Cache.Slots);
                    Assert.Equal(running.Count, scheduler.Running);
                    Assert.Distinct(running.Select(r => r.Slot));
                }
            }
        }
        Assert.Equal(uses, scheduler.Hits + scheduler.Misses);
        Assert.True(scheduler.Cache.OverFetched <= scheduler.Prefetched);
    }
}
