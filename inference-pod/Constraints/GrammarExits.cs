namespace Moebius.Inference.Constraints;

/// <summary>
/// The places of a state by the bytes that they wait for. A large state has many places and few sets of bytes, and a byte leads to
/// what all sets that hold it lead to, and to what the literals lead to that go on with it. Not thread-safe.
/// </summary>
internal sealed class GrammarExits
{
    /// <summary>One bit each. The sets of digits and of characters that schemas have are fewer.</summary>
    private const int MostSets = 128;

    private readonly List<(ByteSetNode Set, List<Place?> After)> _sets = [];
    private readonly Dictionary<byte, List<Place>> _literals = [];
    private readonly Dictionary<(UInt128 Sets, int Literal), GrammarState?> _known = [];

    /// <param name="places">Each waits for a byte.</param>
    /// <exception cref="AmbiguousGrammarException">They wait for too many sets.</exception>
    public GrammarExits(IReadOnlyList<Place> places)
    {
        var byBytes = new Dictionary<(UInt128, UInt128), int>();
        foreach (var place in places)
        {
            if (place.Node is LiteralNode literal)
            {
                if (!_literals.TryGetValue(literal.Bytes[place.Position], out var same))
                    _literals.Add(literal.Bytes[place.Position], same = []);
                same.Add(place);
                continue;
            }

            var set = (ByteSetNode)place.Node;
            if (!byBytes.TryGetValue(set.Bytes, out var index))
            {
                byBytes.Add(set.Bytes, index = _sets.Count);
                _sets.Add((set, []));
                if (_sets.Count > MostSets)
                    throw new AmbiguousGrammarException($"it is too ambiguous: a place waits for more than {MostSets} sets of bytes");
            }

            _sets[index].After.Add(place.Rest);
        }
    }

    /// <summary>Which of the sets hold a byte, one bit each.</summary>
    public UInt128 Holding(byte value)
    {
        var holding = UInt128.Zero;
        for (var i = 0; i < _sets.Count; i++)
        {
            if (_sets[i].Set.Holds(value))
                holding |= UInt128.One << i;
        }

        return holding;
    }

    /// <summary>Where the places of one set lead; null: to the end of the text.</summary>
    public IReadOnlyList<Place?> After(int set) => _sets[set].After;

    /// <summary>Places in literals that go on with a byte.</summary>
    public IReadOnlyList<Place> Literals(byte value) => _literals.TryGetValue(value, out var places) ? places : [];

    /// <summary>Whether it is known where a byte leads that these sets hold.</summary>
    public bool Known(byte value, UInt128 sets, out GrammarState? next) => _known.TryGetValue(Key(value, sets), out next);

    public void Learn(byte value, UInt128 sets, GrammarState? next) => _known.Add(Key(value, sets), next);

    private (UInt128, int) Key(byte value, UInt128 sets) => (sets, _literals.ContainsKey(value) ? value : -1);
}
