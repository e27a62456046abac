namespace Moebius.Inference.Engine;

/// <summary>
/// Decides who may come in. While there is room, everybody. When it is full, only a party that has less than its share of
/// it, so that one party's flood does not turn the others away. What is inside goes over the room by that at most: a
/// party's share, once for each that comes. For any thread.
/// </summary>
/// <param name="most">Sequences that wait or run.</param>
internal sealed class QueueRoom(int most)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _parties = [];
    private int _inside;

    /// <summary>Lets in all of these sequences or none.</summary>
    /// <exception cref="QueueFullException">There is no room.</exception>
    public void Enter(string party, int sequences)
    {
        lock (_gate)
        {
            Check(party, sequences);
            _parties[party] = _parties.GetValueOrDefault(party) + sequences;
            _inside += sequences;
        }
    }

    /// <summary>Refuses whom <see cref="Enter"/> would refuse with any number of sequences.</summary>
    /// <exception cref="QueueFullException">There is no room.</exception>
    public void Check(string party)
    {
        lock (_gate)
            Check(party, 1);
    }

    private void Check(string party, int sequences)
    {
        var own = _parties.GetValueOrDefault(party);
        if (_inside + sequences > most && own + sequences > most / (_parties.Count + (own == 0 ? 1 : 0)))
            throw new QueueFullException(_inside);
    }

    /// <summary>Some of a party's sequences have ended.</summary>
    public void Leave(string party, int sequences)
    {
        lock (_gate)
        {
            _inside -= sequences;
            if ((_parties[party] -= sequences) == 0)
                _parties.Remove(party);
        }
    }
}
