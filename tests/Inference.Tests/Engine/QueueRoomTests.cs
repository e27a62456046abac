using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

public class QueueRoomTests
{
    [Fact]
    public void A_full_room_lets_a_party_in_up_to_its_share()
    {
        var room = new QueueRoom(4);
        room.Enter("noisy", 4);
        Assert.Throws<QueueFullException>(() => room.Enter("noisy", 1));
        Assert.Throws<QueueFullException>(() => room.Enter("quiet", 3));
        room.Enter("quiet", 2);
        Assert.Throws<QueueFullException>(() => room.Check("quiet"));
    }

    [Fact]
    public void Who_has_left_takes_no_share()
    {
        var room = new QueueRoom(4);
        room.Enter("gone", 1);
        room.Leave("gone", 1);
        room.Enter("noisy", 4);
        room.Enter("quiet", 2);
    }
}
