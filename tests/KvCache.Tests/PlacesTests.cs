namespace Moebius.KvCache.Tests;

public sealed class PlacesTests
{
    [Fact]
    public void One_alone_gets_half_and_whoever_comes_later_finds_some()
    {
        var places = new Places<string>(100);
        Assert.Equal(50, Fill(places, "a"));
        Assert.Equal(25, Fill(places, "b"));
        Assert.Equal(13, Fill(places, "c"));
        Assert.Equal(88, places.Count);
        Assert.False(places.TryTake("d", 13));
        Assert.True(places.TryTake("d", 12));
        // What is given back is there for all.
        places.Give("a", 50);
        Assert.Equal((50, true), (places.Count, places.TryTake("a", 50)));
    }

    private static int Fill(Places<string> places, string who)
    {
        var taken = 0;
        while (places.TryTake(who))
            taken++;
        return taken;
    }
}
