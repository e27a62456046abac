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
        Assert.Equal(Key(1), Use(cache, 2));
        Assert.True(cache.TryPin(Key(0), out _));
    }

    [Property]
    public void Without_predictions_it_is_a_plain_LRU(byte slots, byte[] uses)
    {
        var cache = new ExpertCache(slots % 9 + 1);
        var recency = new List<ExpertKey>();
        foreach (var use in uses)
        {
            var key = new ExpertKey(use % 2, use / 2 % 8);
            ExpertKey? expected = recency.Contains(key) || recency.Count < cache.Slots ? null : recency[0];
            Assert.Equal(expected, Use(cache, key));
            recency.Remove(key);
            if (expected is { } gone)
                recency.Remove(gone);
            recency.Add(key);
        }
    }

    [Fact]
    public void Pinned_experts_stay_and_a_full_cache_admits_nothing()
    {
        var cache = new ExpertCache(2);
        Load(cache, 0, ahead: false, pin: true);
        Load(cache, 1, ahead: false, pin: true);
        Assert.False(cache.TryAdmit(Key(2), false, out _, out _));
        cache.Unpin(Key(1));
        Assert.True(cache.TryAdmit(Key(2), false, out _, out var evicted));
        Assert.Equal(Key(1), evicted);
        Assert.Throws<InvalidOperationException>(() => cache.TryAdmit(Key(0), false, out _, out _));
    }

    // An estimate that rounds below 0 kept an expert in memory for good, and what computing waited for never found a buffer.
    [Fact]
    public void Whatever_is_estimated_of_it_an_expert_gives_way_to_one_that_is_waited_for()
    {
        foreach (var use in new[] { -5, -1, 0, long.MinValue, long.MaxValue })
        {
            var cache = new ExpertCache(1, _ => use);
            Load(cache, 0, ahead: false, pin: false);
            Assert.True(cache.TryAdmit(Key(1), ahead: false, out _, out var evicted), $"{use}");
            Assert.Equal(Key(0), evicted);
        }
    }

    [Property]
    public void Residency_tells_what_has_a_buffer(byte[] choices)
    {
        var residency = new Residency(1, 8);
        var cache = new ExpertCache(3, key => key.Expert, residency);
        var there = new HashSet<ExpertKey>();
        foreach (var choice in choices)
        {
            var key = Key(choice % 8);
            if (!there.Contains(key) && cache.TryAdmit(key, (choice & 8) != 0, out _, out var evicted))
            {
                if (evicted is { } gone)
                    Assert.True(there.Remove(gone));
                if ((choice & 16) != 0)
                    cache.Discard(key);
                else
                    cache.Loaded(key);
                if ((choice & 16) == 0)
                    there.Add(key);
            }
            Assert.Equal(Enumerable.Range(0, 8).Select(e => there.Contains(Key(e))), residency.Of(0).ToArray());
            Assert.Equal(cache.Count == cache.Slots, residency.IsFull);
        }
    }

    [Fact]
    public void What_is_on_its_way_has_a_buffer_but_is_not_resident()
    {
        var cache = new ExpertCache(1);
        Assert.True(cache.TryAdmit(Key(0), true, out var slot, out _));
        Assert.Equal(slot, cache.SlotOf(Key(0)));
        Assert.False(cache.TryPin(Key(0), out _));
        Assert.False(cache.TryAdmit(Key(1), false, out _, out _));
        cache.Discard(Key(0));
        Assert.True(cache.TryAdmit(Key(1), false, out _, out var evicted));
        Assert.Null(evicted);
    }

    [Fact]
    public void A_prediction_keeps_an_expert_while_the_plan_holds()
    {
        var cache = new ExpertCache(4);
        for (var expert = 0; expert < 4; expert++)
            Use(cache, expert);
        Assert.True(cache.TryPredict(Key(0)));
        Assert.False(cache.TryPredict(Key(9)));
        Assert.Equal(Key(1), Use(cache, 4));
        Assert.Equal(Key(2), Use(cache, 5));
        Assert.Equal(Key(3), Use(cache, 6));
        cache.BeginPlan();
        cache.EndPlan();
        Assert.Equal(Key(4), Use(cache, 7));
        Assert.Equal(Key(0), Use(cache, 8));
        Assert.Equal(Key(5), Use(cache, 9));
    }

    [Fact]
    public void A_prediction_that_came_true_keeps_it_no_longer()
    {
        var cache = new ExpertCache(4);
        for (var expert = 0; expert < 4; expert++)
            Use(cache, expert);
        Assert.True(cache.TryPredict(Key(0)));
        Use(cache, 0);
        Assert.Equal([Key(1), Key(2), Key(3), Key(0)], Enumerable.Range(4, 4).Select(expert => Use(cache, expert)));
    }

    [Fact]
    public void What_compute_waits_for_takes_what_is_not_predicted_first()
    {
        var cache = new ExpertCache(4);
        Load(cache, 0, ahead: false, pin: true);
        for (var expert = 1; expert < 4; expert++)
            Use(cache, expert);
        Assert.True(cache.TryPredict(Key(1)));
        Use(cache, 2);
        Use(cache, 3);
        Assert.Equal(Key(2), Use(cache, 4));
    }

    [Fact]
    public void What_was_loaded_ahead_in_vain_goes_first_and_is_counted()
    {
        var cache = new ExpertCache(4);
        Use(cache, 0);
        Use(cache, 1);
        Load(cache, 2, ahead: true, pin: false);
        Load(cache, 3, ahead: true, pin: false);
        Use(cache, 3);
        cache.BeginPlan();
        cache.EndPlan();
        Assert.Equal(0, cache.OverFetched);
        Assert.Equal(Key(2), Use(cache, 4));
        Assert.Equal(1, cache.OverFetched);
        Assert.Equal(Key(0), Use(cache, 5));
        Assert.Equal(1, cache.OverFetched);
    }

    [Fact]
    public void A_prefetch_replaces_nothing_of_the_high_level()
    {
        var cache = new ExpertCache(4);
        for (var expert = 0; expert < 4; expert++)
            Use(cache, expert);
        Assert.True(cache.TryAdmit(Key(4), true, out _, out var evicted));
        Assert.Equal(Key(0), evicted);
        Assert.True(cache.TryAdmit(Key(5), true, out _, out evicted));
        Assert.Equal(Key(1), evicted);
        Assert.True(cache.TryAdmit(Key(6), true, out _, out evicted));
        Assert.Equal(Key(2), evicted);
        cache.Loaded(Key(4));
        cache.Loaded(Key(5));
        cache.Loaded(Key(6));
        // Three of four are predicted now and the fourth is in the low level: one more fits, then none.
        Assert.True(cache.TryAdmit(Key(7), true, out _, out evicted));
        Assert.Equal(Key(3), evicted);
        cache.Loaded(Key(7));
        Assert.False(cache.TryAdmit(Key(8), true, out _, out _));
        Assert.True(cache.TryAdmit(Key(8), false, out _, out _));
    }

    [Fact]
    public void An_oracle_evicts_what_is_used_last()
    {
        var cache = new ExpertCache(3, key => key.Expert is 1 ? 100 : key.Expert);
        for (var expert = 0; expert < 3; expert++)
            Use(cache, expert);
        Assert.Equal(Key(1), Use(cache, 7));
        Assert.False(cache.TryAdmit(Key(8), true, out _, out _));
        Assert.True(cache.TryAdmit(Key(5), true, out _, out var evicted));
        Assert.Equal(Key(7), evicted);
    }

    [Property]
    public void Buffers_are_never_shared_nor_exceeded_and_what_is_in_use_stays(byte slots, ushort[] operations)
    {
        var cache = new ExpertCache(slots % 7 + 1);
        var held = new Dictionary<ExpertKey, int>();
        var loading = new HashSet<ExpertKey>();
        var pinned = new List<ExpertKey>();
        long evictions = 0;
        foreach (var operation in operations)
        {
            var key = new ExpertKey(operation / 8 % 3, operation / 24 % 7);
            switch (operation % 8)
            {
                case 0 or 1 when !held.ContainsKey(key):
                    if (cache.TryAdmit(key, operation % 2 == 1, out var slot, out var evicted))
                    {
                        if (evicted is { } gone)
                        {
                            evictions++;
                            Assert.DoesNotContain(gone, pinned);
                            Assert.DoesNotContain(gone, loading);
                            Assert.True(held.Remove(gone));
                        }
                        Assert.DoesNotContain(slot, held.Values);
                        Assert.InRange(slot, 0, cache.Slots - 1);
                        held[key] = slot;
                        loading.Add(key);
                    }
                    else
                    {
                        Assert.Equal(cache.Slots, held.Count);
                        if (operation % 2 == 0)
                            Assert.All(held.Keys, k => Assert.True(pinned.Contains(k) || loading.Contains(k)));
                    }
                    break;
                case 2 when loading.Remove(key):
                    cache.Loaded(key);
                    break;
                case 3 when loading.Remove(key):
                    cache.Discard(key);
                    held.Remove(key);
                    break;
                case 4:
                    Assert.Equal(held.ContainsKey(key) && !loading.Contains(key), cache.TryPin(key, out var found));
                    if (found >= 0)
                    {
                        Assert.Equal(held[key], found);
                        pinned.Add(key);
                    }
                    break;
                case 5 when pinned.Remove(key):
                    cache.Unpin(key);
                    break;
                case 6:
                    Assert.Equal(held.ContainsKey(key), cache.TryPredict(key));
                    break;
                case 7:
                    if (operation / 8 % 2 == 0)
                        cache.BeginPlan();
                    else
                        cache.EndPlan();
                    break;
            }
            Assert.Equal(held.Count, cache.Count);
            Assert.InRange(cache.Count, 0, cache.Slots);
            Assert.Equal(evictions, cache.Evictions);
            Assert.InRange(cache.OverFetched, 0, evictions);
        }
    }

    private static ExpertKey Key(int expert) => new(0, expert);

    private static void Load(ExpertCache cache, int expert, bool ahead, bool pin)
    {
        Assert.True(cache.TryAdmit(Key(expert), ahead, out _, out _));
        cache.Loaded(Key(expert));
        if (pin)
            Assert.True(cache.TryPin(Key(expert), out _));
    }

    private static ExpertKey? Use(ExpertCache cache, int expert) => Use(cache, Key(expert));

    private static ExpertKey? Use(ExpertCache cache, ExpertKey key)
    {
        ExpertKey? evicted = null;
        if (!cache.TryPin(key, out _))
        {
            Assert.True(cache.TryAdmit(key, false, out _, out evicted));
            cache.Loaded(key);
            Assert.True(cache.TryPin(key, out _));
        }
        cache.Unpin(key);
        return evicted;
    }
}
