namespace Moebius.Inference.Constraints;

/// <summary>A place in a grammar: inside a node, with what comes after it. Equal places are the same object.</summary>
internal sealed class Place(int id, GrammarNode node, int position, Place? rest)
{
    public int Id => id;

    public GrammarNode Node => node;

    /// <summary>Bytes of a literal, parts of a sequence or rounds of a repetition that are done.</summary>
    public int Position => position;

    public Place? Rest => rest;

    /// <summary>The last round in which the machine came by.</summary>
    public int Round { get; set; }
}

/// <summary>All places where a grammar may be after some bytes.</summary>
internal sealed class GrammarState(Place[] places, bool accepting)
{
    private const byte Unknown = 0;
    private const byte Dead = 1;
    private const byte FirstTarget = 2;

    /// <summary>For each byte what is known of the step with it; null: nothing of any. Most bytes lead to the few same states.</summary>
    private byte[]? _steps;
    private readonly List<GrammarState> _targets = [];
    private GrammarExits? _exits;

    /// <summary>Each waits for a byte.</summary>
    public IReadOnlyList<Place> Places => places;

    /// <summary>The text may end here.</summary>
    public bool Accepting => accepting;

    /// <summary>The text must end here.</summary>
    public bool Complete => accepting && places.Length == 0;

    /// <summary>Its places by the bytes that they wait for.</summary>
    public GrammarExits Exits() => _exits ??= new GrammarExits(places);

    public bool Known(byte value, out GrammarState? state)
    {
        var step = _steps is null ? Unknown : _steps[value];
        state = step < FirstTarget ? null : _targets[step - FirstTarget];
        return step != Unknown;
    }

    public void Learn(byte value, GrammarState? state)
    {
        _steps ??= new byte[256];
        if (state is null)
        {
            _steps[value] = Dead;
            return;
        }

        var target = _targets.IndexOf(state);
        if (target < 0)
        {
            target = _targets.Count;
            _targets.Add(state);
        }

        // No text has so many first bytes that their numbers do not fit a byte.
        _steps[value] = checked((byte)(FirstTarget + target));
    }
}
