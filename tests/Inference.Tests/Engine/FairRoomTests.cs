using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

public class FairRoomTests
{
    [Fact]
    public void One_party_may_fill_the_room_to_its_end_and_no_further()
    {
        var room = new FairRoom(10);
        Assert.True(room.TryEnter("a", 10, out var inside));
        Assert.Equal(10, inside);
        Assert.False(room.TryEnter("a", 1, out inside));
        // What is refused takes nothing.
        Assert.Equal(10, inside);
        room.Leave("a", 1);
        Assert.True(room.Fits("a", 1, out inside));
        Assert.Equal(9, inside);
        Assert.True(room.TryEnter("a", 1, out _));
    }

    [Fact]
    public void While_there_is_room_nobody_is_held_to_a_share()
    {
        var room = new FairRoom(10);
        Assert.True(room.TryEnter("a", 8, out _));
        Assert.True(room.TryEnter("b", 1, out _));
        Assert.False(room.Fits("a", 2, out _));
        Assert.True(room.TryEnter("a", 1, out var inside));
        Assert.Equal(10, inside);
    }

    [Fact]
    public void Each_that_comes_later_has_its_share_of_a_full_room()
    {
        var room = new FairRoom(12);
        Assert.True(room.TryEnter("a", 12, out _));
        Assert.False(room.TryEnter("b", 7, out _));
        Assert.True(room.TryEnter("b", 4, out _));
        // What it has already counts.
        Assert.False(room.TryEnter("b", 3, out _));
        Assert.True(room.TryEnter("b", 2, out _));
        Assert.False(room.TryEnter("c", 5, out _));
        Assert.True(room.TryEnter("c", 4, out var inside));
        Assert.Equal(22, inside);
    }

    [Fact]
    public void Nothing_goes_beyond_the_bound_whoever_comes()
    {
        var room = new FairRoom(12, bound: 19);
        Assert.True(room.TryEnter("a", 12, out _));
        Assert.True(room.TryEnter("b", 6, out _));
        Assert.False(room.TryEnter("c", 2, out _));
        Assert.True(room.TryEnter("c", 1, out _));
        Assert.False(room.TryEnter("d", 1, out var inside));
        Assert.Equal(19, inside);
    }
}
