using Moebius.Inference.Experts;

namespace Moebius.Inference.Tests.Experts;

public class TransferQueueTests
{
    [Fact]
    public void Demand_comes_first_then_the_plan_in_its_order()
    {
        var queue = new TransferQueue();
        queue.Prefetch(Key(1));
        queue.Prefetch(Key(2));
        queue.Demand(Key(4));
        queue.Prefetch(Key(3));
        queue.Prefetch(Key(1));
        queue.Demand(Key(6));
        Assert.Equal([4, 6, 1, 2, 3], Drain(queue));
    }

    [Fact]
    public void A_prefetch_is_promoted_when_compute_comes_to_need_it()
    {
        var queue = new TransferQueue();
        queue.Prefetch(Key(1));
        queue.Prefetch(Key(2));
        queue.Demand(Key(2));
        queue.Prefetch(Key(2));
        Assert.Equal(2, queue.Waiting);
        Assert.Equal([2, 1], Drain(queue));
    }

    [Fact]
    public void What_is_on_its_way_is_not_asked_for_again_and_cannot_be_cancelled()
    {
        var queue = new TransferQueue();
        queue.Demand(Key(1));
        Assert.True(queue.TryBegin(_ => true, out _));
        queue.Demand(Key(1));
        queue.Prefetch(Key(1));
        Assert.False(queue.Withdraw(Key(1)));
        Assert.Equal((0, 1), (queue.Waiting, queue.Running));
        queue.End(Key(1));
        Assert.Throws<InvalidOperationException>(() => queue.End(Key(1)));
    }

    [Fact]
    public void A_load_ahead_without_room_lets_the_next_one_try()
    {
        var queue = new TransferQueue();
        queue.Prefetch(new ExpertKey(0, 1));
        queue.Prefetch(new ExpertKey(0, 2));
        Assert.True(queue.TryBegin(r => r.Key.Expert == 2, out var request));
        Assert.Equal(new TransferRequest(new ExpertKey(0, 2), false), request);
        Assert.True(queue.IsWaiting(new ExpertKey(0, 1)));
    }

    [Fact]
    public void Nothing_begins_where_the_first_finds_no_room()
    {
        var queue = new TransferQueue();
        queue.Demand(Key(1));
        queue.Prefetch(Key(2));
        queue.Demand(Key(3));
        Assert.False(queue.TryBegin(r => r.Key != Key(1), out _));
        Assert.Equal(3, queue.Waiting);
    }

    [Fact]
    public void A_new_plan_withdraws_what_has_not_begun_but_no_demand()
    {
        var queue = new TransferQueue();
        queue.Prefetch(Key(1));
        queue.Prefetch(Key(2));
        queue.Demand(Key(2));
        queue.CancelPrefetches();
        queue.Prefetch(Key(3));
        Assert.Equal([2, 3], Drain(queue));
    }

    [Property]
    public void Every_request_ends_exactly_once_and_demand_is_never_behind(ushort[] operations)
    {
        var queue = new TransferQueue();
        var waiting = new Dictionary<ExpertKey, bool>();
        var running = new HashSet<ExpertKey>();
        foreach (var operation in operations)
        {
            var key = new ExpertKey(0, operation / 8 % 6);
            switch (operation % 8)
            {
                case 0 or 1:
                    queue.Prefetch(key);
                    if (!running.Contains(key))
                        waiting.TryAdd(key, false);
                    break;
                case 2:
                    queue.Demand(key);
                    if (!running.Contains(key))
                        waiting[key] = true;
                    break;
                case 3 or 4:
                    Assert.Equal(waiting.Count > 0, queue.TryBegin(_ => true, out var request));
                    if (request is not null)
                    {
                        Assert.Equal(waiting.ContainsValue(true), request.Demanded);
                        Assert.True(waiting.Remove(request.Key, out var demanded));
                        Assert.Equal(demanded, request.Demanded);
                        Assert.True(running.Add(request.Key));
                    }
                    break;
                case 5 when running.Remove(key):
                    queue.End(key);
                    break;
                case 6:
                    Assert.Equal(waiting.Remove(key), queue.Withdraw(key));
                    break;
                case 7:
                    queue.CancelPrefetches();
                    foreach (var gone in waiting.Where(w => !w.Value).Select(w => w.Key).ToArray())
                        waiting.Remove(gone);
                    break;
            }
            Assert.Equal((waiting.Count, running.Count), (queue.Waiting, queue.Running));
            Assert.Equal(waiting.Values.Count(demanded => demanded), queue.Demanded);
        }
        Assert.Equal(waiting.Count, Drain(queue).Count);
    }

    private static ExpertKey Key(int expert) => new(0, expert);

    private static List<int> Drain(TransferQueue queue)
    {
        var order = new List<int>();
        while (queue.TryBegin(_ => true, out var request))
            order.Add(request.Key.Expert);
        return order;
    }
}
