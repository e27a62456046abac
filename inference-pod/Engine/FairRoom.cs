namespace Moebius.Inference.Engine;

/// <summary>
/// Room for what several parties bring. While there is some, everybody comes in. When it is full, only a party that has
/// less than its share of it, so that one party's flood does not turn the others away. What is inside goes over the room
/// by that: a party's share, once for each that comes, and never beyond the bound. For any thread.
/// </summary>
/// <param name="room">How much there is for all.</param>
/// <param name="bound">The most that is ever inside; null: what the shares come to.</param>
internal sealed class FairRoom(long room, long? bound = null)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, long> _parties = [];
    private readonly long _bound = bound ?? long.MaxValue;
    private long _inside;

    /// <summary>Lets in all of it or nothing.</summary>
    /// <param name="party">Whose it is.</param>
    /// <param name="amount">More than 0.</param>
    /// <param name="inside">How much there is inside, without what was refused.</param>
    public bool TryEnter(string party, long amount, out long inside)
    {
        lock (_gate)
        {
            if (!Fits(party, amount, out inside))
                return false;
            _parties[party] = _parties.GetValueOrDefault(party) + amount;
            inside = _inside += amount;
            return true;
        }
    }

    /// <summary>Whether <see cref="TryEnter"/> would let it in.</summary>
    public bool Fits(string party, long amount, out long inside)
    {
        lock (_gate)
        {
            var own = _parties.GetValueOrDefault(party);
            inside = _inside;
            var share = room / (_parties.Count + (own == 0 ? 1 : 0));
            return inside + amount <= room || (own + amount <= share && inside + amount <= _bound);
        }
    }

    /// <summary>So much of what a party brought is gone.</summary>
    /// <param name="party">Whose it was.</param>
    /// <param name="amount">Not more than it has inside, and more than 0.</param>
    public void Leave(string party, long amount)
    {
        lock (_gate)
        {
            _inside -= amount;
            if ((_parties[party] -= amount) == 0)
                _parties.Remove(party);
        }
    }
}
