namespace Moebius.Inference.Engine;

/// <summary>Decides whose sequences may come in, as <see cref="FairRoom"/> says. For any thread.</summary>
/// <param name="most">Sequences that wait or run.</param>
internal sealed class QueueRoom(int most)
{
    private readonly FairRoom _room = new(most);

    /// <summary>Lets in all of these sequences or none.</summary>
    /// <exception cref="QueueFullException">There is no room.</exception>
    public void Enter(string party, int sequences)
    {
        if (!_room.TryEnter(party, sequences, out var inside))
            throw new QueueFullException((int)inside);
    }

    /// <summary>Refuses whom <see cref="Enter"/> would refuse with any number of sequences.</summary>
    /// <exception cref="QueueFullException">There is no room.</exception>
    public void Check(string party)
    {
        if (!_room.Fits(party, 1, out var inside))
            throw new QueueFullException((int)inside);
    }

    /// <summary>Some of a party's sequences have ended.</summary>
    public void Leave(string party, int sequences) => _room.Leave(party, sequences);
}
