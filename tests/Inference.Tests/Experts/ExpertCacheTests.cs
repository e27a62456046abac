using FsCheck.Xunit;
using Moebius.Inference.Experts;

namespace Moebius.Inference.Tests.Experts;

public class ExpertCacheTests
{
    [Fact]
    public void The_least_recently_used_goes_first()
    {
        var cache = new ExpertCache(2);
        Use(cache, 0);
        Use(cache, 1);
        Use(cache, 0);
        Assert.Equal(new ExpertKey(0, 1), Use(cache, 2));
        Assert.True(cache.Contains(new ExpertKey(0, 0)));
    }

    [Fact]
    public void Pinned_experts_stay_and_a_full_cache_admits_nothing()
    {
        var cache = new ExpertCache(2);
        Assert.True(cache.TryAdmit(new ExpertKey(0, 0), out _, out _));
        Assert.True(cache.TryAdmit(new ExpertKey(0, 1), out _, out _));
        Assert.False(cache.TryAdmit(new ExpertKey(0, 2), out _, out _));
        cache.Unpin(new ExpertKey(0, 1));
        Assert.True(cache.TryAdmit(new ExpertKey(0, 2), out _, out var evicted));
        Assert.Equal(new ExpertKey(0, 1), evicted);
        Assert.Throws<InvalidOperationException>(() => cache.TryAdmit(new ExpertKey(0, 0), out _, out _));
    }

    [Property]
    public void Buffers_are_never_shared_and_never_exceed_the_limit(byte slots, byte[] uses)
    {
        var cache = new ExpertCache(slots % 5 + 1);
        var held = new Dictionary<ExpertKey, int>();
        var pinned = new Queue<ExpertKey>();
        foreach (byte use in uses)
        {
            var key = new ExpertKey(use % 3, use % 7);
            if (pinned.Count > 0 && (use % 2 == 0 || pinned.Count == cache.Slots))
                cache.Unpin(pinned.Dequeue());
            if (cache.TryPin(key, out int slot))
            {
                Assert.Equal(held[key], slot);
            }
            else if (cache.TryAdmit(key, out slot, out var evicted))
            {
                if (evicted is { } gone)
                {
                    Assert.DoesNotContain(gone, pinned);
                    Assert.True(held.Remove(gone));
                }
                Assert.DoesNotContain(slot, held.Values);
                held[key] = slot;
            }
            else
            {
                continue;
            }
            pinned.Enqueue(key);
            Assert.Equal(held.Count, cache.Count);
            Assert.InRange(cache.Count, 0, cache.Slots);
        }
    }

    private static ExpertKey? Use(ExpertCache cache, int expert)
    {
        var key = new ExpertKey(0, expert);
        ExpertKey? evicted = null;
        if (!cache.TryPin(key, out _))
            Assert.True(cache.TryAdmit(key, out _, out evicted));
        cache.Unpin(key);
        return evicted;
    }
}
