namespace Moebius.Inference.Engine;

/// <summary>
/// Decides who may come in. While there is room, everybody. When it is full, only a party that has less than its share of
/// it, so that one party's flood does not turn the others away. What is inside goes over the room by that at most: a
/// party's share, once for each that comes. For any thread.
/// </summary>
/// <param name="most">Sequences that wait or run.</param>
internal sealed class QueueRoom(int most)
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, int> parties = [];
    private int inside;

    /// <summary>Lets in all of these sequences or none.</summary>
    /// <exception cref="QueueFullException">There is no room.</exception>
    public void Enter(string party, int sequences)
    {
        lock (gate)
        {
            var own = parties.GetValueOrDefault(party);
            var share = most / (parties.Count + (own == 0 ? 1 : 0));
            if (inside + sequences > most && own + sequences > share)
                throw new QueueFullException(inside);
            parties[party] = own + sequences;
            inside += sequences;
        }
    }

    /// <summary>Some of a party's sequences have ended.</summary>
    public void Leave(string party, int sequences)
    {
        lock (gate)
        {
            inside -= sequences;
            if ((parties[party] -= sequences) == 0)
                parties.Remove(party);
        }
    }
}
