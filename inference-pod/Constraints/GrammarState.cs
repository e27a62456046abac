namespace Moebius.Inference.Constraints;

/// <summary>A place in a grammar: inside a node, with what comes after it. Equal places are the same object.</summary>
internal sealed class Place(int id, GrammarNode node, int position, Place? rest)
{
    public int Id => id;

    public GrammarNode Node => node;

    /// <summary>Bytes of a literal, parts of a sequence or rounds of a repetition that are done.</summary>
    public int Position => position;

    public Place? Rest => rest;
}

/// <summary>All places where a grammar may be after some bytes.</summary>
internal sealed class GrammarState(Place[] places, bool accepting)
{
    private readonly GrammarState?[] _next = new GrammarState?[256];
    private readonly bool[] _known = new bool[256];

    /// <summary>Each waits for a byte.</summary>
    public IReadOnlyList<Place> Places => places;

    /// <summary>The text may end here.</summary>
    public bool Accepting => accepting;

    /// <summary>The text must end here.</summary>
    public bool Complete => accepting && places.Length == 0;

    public bool Known(byte value, out GrammarState? state)
    {
        state = _next[value];
        return _known[value];
    }

    public void Learn(byte value, GrammarState? state)
    {
        _known[value] = true;
        _next[value] = state;
    }
}
