namespace Moebius.Inference.Constraints;

/// <summary>
/// Follows a grammar byte by byte. A state is the set of places where the grammar may be; states and the steps between
/// them are made when first asked for and kept. Not thread-safe.
/// </summary>
internal sealed class GrammarMachine
{
    // A grammar may be ambiguous, and whoever wrote it may be hostile: one state never holds more places than this.
    private const int MostPlaces = 4096;

    // Of each sequence: roughly what its states and places take, in bytes, with what keeps them.
    private const long MostKept = 4 << 20;
    private const int StateBytes = 512;
    private const int PlaceBytes = 96;

    private readonly Dictionary<(GrammarNode, int, Place?), Place> _places = [];
    private readonly Dictionary<int[], GrammarState> _states = new(new IdComparer());
    private readonly Stack<Place> _pending = new();
    private int _nextId;
    private int _round;
    private int _visited;
    private long _kept;

    /// <exception cref="AmbiguousGrammarException">The beginning is too ambiguous already.</exception>
    public GrammarMachine(GrammarNode root) => Start = Close([Intern(root, 0, null)], false);

    /// <summary>Where every text begins.</summary>
    public GrammarState Start { get; private set; }

    /// <summary>Places that were gone through so far: what the work is counted in.</summary>
    public long Visits { get; private set; }

    /// <summary>The state after one more byte, or null where the grammar does not allow it.</summary>
    /// <exception cref="AmbiguousGrammarException">The grammar is too ambiguous to follow.</exception>
    public GrammarState? Next(GrammarState state, byte value)
    {
        if (!state.Known(value, out var next))
        {
            next = Step(state, value);
            state.Learn(value, next);
        }

        return next;
    }

    /// <summary>Forgets what was learned, except the way to <paramref name="current"/>, when there is much of it.</summary>
    /// <returns>The state to go on from.</returns>
    public GrammarState Trim(GrammarState current)
    {
        if (_kept < MostKept)
            return current;
        _places.Clear();
        _states.Clear();
        _kept = 0;
        // What it has learned would keep the rest.
        Start = Again(Start);
        return Again(current);
    }

    private GrammarState Again(GrammarState state)
    {
        foreach (var top in state.Places)
        {
            for (var place = top; place is not null && _places.TryAdd((place.Node, place.Position, place.Rest), place); place = place.Rest)
                _kept += PlaceBytes;
        }

        return State([.. state.Places], state.Accepting);
    }

    private GrammarState? Step(GrammarState state, byte value)
    {
        var exits = state.Exits();
        var sets = exits.Holding(value);
        // Most bytes lead to the same few places, and it takes long to find which these are.
        if (exits.Known(value, sets, out var next))
            return next;
        var reached = new List<Place?>();
        for (var rest = sets; rest != UInt128.Zero; rest &= rest - UInt128.One)
            reached.AddRange(exits.After((int)UInt128.TrailingZeroCount(rest)));
        foreach (var place in exits.Literals(value))
        {
            var bytes = ((LiteralNode)place.Node).Bytes;
            reached.Add(place.Position + 1 < bytes.Length ? Intern(place.Node, place.Position + 1, place.Rest) : place.Rest);
        }

        next = reached.Count == 0 ? null : Close([.. reached.OfType<Place>()], reached.Contains(null));
        exits.Learn(value, sets, next);
        return next;
    }

    // Goes from places inside the grammar to the places where the next byte is.
    private GrammarState Close(List<Place> from, bool accepting)
    {
        _round++;
        _visited = 0;
        foreach (var place in from)
            Visit(place);
        var found = new List<Place>();
        while (_pending.TryPop(out var place))
        {
            var (position, rest) = (place.Position, place.Rest);
            switch (place.Node)
            {
                case SequenceNode sequence when position < sequence.Parts.Count:
                    Visit(Intern(sequence.Parts[position], 0, position + 1 < sequence.Parts.Count ? Intern(sequence, position + 1, rest) : rest));
                    break;
                case SequenceNode:
                    Leave(rest);
                    break;
                case ChoiceNode choice:
                    foreach (var alternative in choice.Alternatives)
                        Visit(Intern(alternative, 0, rest));
                    break;
                case RepeatNode repeat:
                    if (position >= repeat.Least)
                        Leave(rest);
                    if (repeat.Most is not { } most)
                        Visit(Intern(repeat.Child, 0, Intern(repeat, Math.Min(position + 1, repeat.Least), rest)));
                    else if (position < most)
                        Visit(Intern(repeat.Child, 0, Intern(repeat, position + 1, rest)));
                    break;
                case RuleNode rule:
                    Visit(Intern(rule.Target ?? throw new InvalidOperationException("a rule of the grammar has no target"), 0, rest));
                    break;
                default:
                    found.Add(place);
                    break;
            }
        }

        return State(found, accepting);

        void Leave(Place? rest)
        {
            if (rest is null)
                accepting = true;
            else
                Visit(rest);
        }
    }

    private void Visit(Place place)
    {
        if (place.Round == _round)
            return;
        place.Round = _round;
        Visits++;
        if (++_visited > MostPlaces)
        {
            _pending.Clear();
            throw new AmbiguousGrammarException($"it is too ambiguous: a text may have more than {MostPlaces} readings at once");
        }

        _pending.Push(place);
    }

    private GrammarState State(List<Place> found, bool accepting)
    {
        found.Sort(static (left, right) => left.Id.CompareTo(right.Id));
        int[] key = [accepting ? 1 : 0, .. found.Select(static place => place.Id)];
        if (_states.TryGetValue(key, out var state))
            return state;
        _states.Add(key, state = new GrammarState([.. found], accepting));
        _kept += StateBytes + (found.Count * (sizeof(int) + (2 * IntPtr.Size)));
        return state;
    }

    private Place Intern(GrammarNode node, int position, Place? rest)
    {
        if (_places.TryGetValue((node, position, rest), out var place))
            return place;
        _places.Add((node, position, rest), place = new Place(_nextId++, node, position, rest));
        _kept += PlaceBytes;
        return place;
    }

    private sealed class IdComparer : IEqualityComparer<int[]>
    {
        public bool Equals(int[]? left, int[]? right) => left.AsSpan().SequenceEqual(right);

        public int GetHashCode(int[] ids)
        {
            var hash = default(HashCode);
            foreach (var id in ids)
                hash.Add(id);
            return hash.ToHashCode();
        }
    }
}
