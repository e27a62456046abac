namespace Moebius.KvCache.Tests;

public sealed class RecentMapTests
{
    [Fact]
    public void What_was_set_or_used_longest_ago_goes_first()
    {
        var map = new RecentMap<string, int>(2);
        map.Set("a", 1);
        map.Set("b", 2);
        map.Set("a", 3);
        map.Set("c", 4);
        Assert.Equal((2, 3, 0), (map.Count, map.GetValueOrDefault("a", 0), map.GetValueOrDefault("b", 0)));
        Assert.True(map.TryUse("a", out var used));
        Assert.Equal(3, used);
        map.Set("d", 5);
        Assert.Equal((true, false, true), (map.Contains("a"), map.Contains("c"), map.Contains("d")));
        Assert.False(map.TryUse("c", out _));
    }

    [Fact]
    public void Looking_changes_no_age()
    {
        var map = new RecentMap<string, int>(2);
        map.Set("a", 1);
        map.Set("b", 2);
        Assert.True(map.Contains("a"));
        Assert.Equal(1, map.GetValueOrDefault("a", 0));
        map.Set("c", 3);
        Assert.False(map.Contains("a"));
    }

    [Fact]
    public void A_map_of_no_entries_keeps_none()
    {
        var map = new RecentMap<string, int>(0);
        map.Set("a", 1);
        Assert.Equal((0, false), (map.Count, map.Contains("a")));
    }

    [Fact]
    public void What_is_removed_is_gone_and_the_others_keep_their_age()
    {
        var map = new RecentMap<string, int>(2);
        map.Set("a", 1);
        map.Set("b", 2);
        Assert.True(map.TryRemove("a", out var removed));
        Assert.Equal(1, removed);
        Assert.False(map.TryRemove("a", out _));
        map.Set("c", 3);
        Assert.Equal(["b", "c"], map.Keys);
    }
}
