using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Constraints;

/// <summary>
/// The texts of a vocabulary as a tree over bytes, in depth-first order: one walk finds all tokens that a grammar
/// allows, and what one token cannot begin with, no other has to be tried for.
/// </summary>
internal sealed class TokenTrie
{
    /// <summary>
    /// All that runs waits while what fits is looked for, so a hostile grammar has a bound: some 50 ms. One string in 150
    /// alternatives takes half of it, a large schema that somebody means some thousands.
    /// </summary>
    private const long MostVisits = 250_000;

    private readonly byte[] _label;
    private readonly int[] _depth;
    private readonly int[] _skip;        // the next node that is not below
    private readonly int[] _firstToken;  // tokens that end at a node: from here to the next node's
    private readonly int[] _tokens;
    private readonly int _longest;
    private readonly Tokenizer _tokenizer;
    private readonly Dictionary<int, byte[]> _control;

    /// <param name="tokenizer">The vocabulary. Tokens without text are left out.</param>
    /// <param name="vocabulary">Ids are below this.</param>
    /// <param name="markers">Special tokens that a grammar may ask for; the others are left out.</param>
    public TokenTrie(Tokenizer tokenizer, int vocabulary, params IEnumerable<int> markers)
    {
        _tokenizer = tokenizer;
        Vocabulary = vocabulary;
        _control = markers.ToDictionary(id => id, id => MarkerGrammar.ControlToken(tokenizer.Bytes(id)));
        _tokens = [.. Enumerable.Range(0, Math.Min(vocabulary, tokenizer.Count)).Where(id => Bytes(id).Length > 0)];
        Array.Sort(_tokens, (left, right) => Bytes(left).SequenceCompareTo(Bytes(right)));
        List<byte> labels = [];
        List<int> depths = [], firsts = [];
        for (var i = 0; i < _tokens.Length; i++)
        {
            var text = Bytes(_tokens[i]);
            for (var at = i == 0 ? 0 : text.CommonPrefixLength(Bytes(_tokens[i - 1])); at < text.Length; at++)
            {
                labels.Add(text[at]);
                depths.Add(at);
                firsts.Add(i);
            }
        }

        _label = [.. labels];
        _depth = [.. depths];
        _firstToken = [.. firsts, _tokens.Length];
        _skip = new int[_label.Length];
        var open = new Stack<int>();
        for (var node = 0; node <= _label.Length; node++)
        {
            while (open.TryPeek(out var last) && (node == _label.Length || _depth[last] >= _depth[node]))
                _skip[open.Pop()] = node;
            open.Push(node);
        }

        _longest = depths.Count == 0 ? 0 : depths.Max() + 1;
    }

    /// <summary>Ids are below this.</summary>
    public int Vocabulary { get; }

    /// <summary>What a grammar reads for a token; nothing where no grammar has it.</summary>
    public ReadOnlySpan<byte> Bytes(int id) => _control.TryGetValue(id, out var bytes) ? bytes : _tokenizer.TextBytes(id);

    /// <summary>A mask that no token is in: one bit each, 64 to a word.</summary>
    public ulong[] Mask() => new ulong[(Vocabulary + 63) / 64];

    /// <summary>Marks the tokens whose whole text the grammar allows next.</summary>
    /// <param name="machine">The grammar.</param>
    /// <param name="from">Where it is.</param>
    /// <param name="mask">What <see cref="Mask"/> has made.</param>
    /// <exception cref="AmbiguousGrammarException">That would take too long.</exception>
    public void Fitting(GrammarMachine machine, GrammarState from, ulong[] mask)
    {
        var path = new GrammarState[_longest + 1];
        path[0] = from;
        var before = machine.Visits;
        for (var node = 0; node < _label.Length;)
        {
            if (machine.Next(path[_depth[node]], _label[node]) is not { } next)
            {
                node = _skip[node];
                continue;
            }

            if (machine.Visits - before > MostVisits)
                throw new AmbiguousGrammarException($"it is too ambiguous: more than {MostVisits} places have to be gone through before one token");
            path[_depth[node] + 1] = next;
            for (var i = _firstToken[node]; i < _firstToken[node + 1]; i++)
                mask[_tokens[i] >> 6] |= 1UL << (_tokens[i] & 63);
            node++;
        }
    }
}
