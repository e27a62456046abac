namespace Moebius.Inference.Constraints;

/// <summary>What an output must look like. Thread-safe.</summary>
internal sealed class OutputGrammar
{
    private readonly GrammarNode _root;
    private readonly ulong[] _begins;
    private GrammarMachine? _first;

    /// <summary>Also finds the tokens that a text may begin with, which takes longest: nobody waits for it but who asks.</summary>
    /// <param name="root">The grammar of the whole text.</param>
    /// <param name="trie">The vocabulary that writes it.</param>
    /// <exception cref="AmbiguousGrammarException">The beginning has too many readings already.</exception>
    public OutputGrammar(GrammarNode root, TokenTrie trie)
    {
        _root = root;
        Trie = trie;
        _first = new GrammarMachine(root);
        trie.Fitting(_first, _first.Start, _begins = trie.Mask());
    }

    /// <summary>The vocabulary that writes it.</summary>
    public TokenTrie Trie { get; }

    /// <summary>The tokens that a text may begin with, one bit each; not to be changed.</summary>
    public ReadOnlySpan<ulong> Begins => _begins;

    /// <summary>A machine that nobody else uses; the first one is what the grammar was checked with.</summary>
    public GrammarMachine Machine() => Interlocked.Exchange(ref _first, null) ?? new GrammarMachine(_root);
}

/// <summary>Keeps one sequence to its grammar: before a choice, what does not fit is ruled out. Not thread-safe.</summary>
internal sealed class OutputConstraint
{
    private const int MostMasks = 64;

    private readonly Dictionary<GrammarState, ulong[]> _masks = [];
    private readonly GrammarMachine _machine;
    private readonly TokenTrie _trie;
    private readonly IReadOnlySet<int> _endOfSequence;
    private GrammarState _state;

    public OutputConstraint(OutputGrammar grammar, IReadOnlySet<int> endOfSequence)
    {
        _machine = grammar.Machine();
        _trie = grammar.Trie;
        _endOfSequence = endOfSequence;
        _state = _machine.Start;
        Remember(grammar.Begins.ToArray());
    }

    /// <summary>The text is whole and nothing can follow.</summary>
    public bool Finished => _state.Complete;

    /// <summary>Makes every token that does not fit impossible. The end of sequence fits where the text may end.</summary>
    /// <param name="logits">[vocabulary]</param>
    /// <exception cref="AmbiguousGrammarException">The grammar cannot be followed.</exception>
    public void Restrict(Span<float> logits)
    {
        if (!_masks.TryGetValue(_state, out var mask))
        {
            _trie.Fitting(_machine, _state, mask = _trie.Mask());
            Remember(mask);
        }

        Apply(mask, logits[..Math.Min(logits.Length, _trie.Vocabulary)]);
        logits[Math.Min(logits.Length, _trie.Vocabulary)..].Fill(float.NegativeInfinity);
    }

    /// <summary>
    /// Keeps what fits at this place, with the end where the text may end, and nowhere else: the name of a token that ends would fit inside a
    /// string, where the tokenizer does not call it special.
    /// </summary>
    private void Remember(ulong[] mask)
    {
        foreach (var token in _endOfSequence.Where(token => (uint)token < (uint)_trie.Vocabulary))
        {
            var bit = 1UL << (token & 63);
            mask[token >> 6] = _state.Accepting ? mask[token >> 6] | bit : mask[token >> 6] & ~bit;
        }

        if (_masks.Count >= MostMasks)
            _masks.Clear();
        _masks.Add(_state, mask);
    }

    /// <summary>Makes tokens without a bit impossible. Mostly all of 64 neighbours fit, or none: those are settled at once.</summary>
    private static void Apply(ulong[] mask, Span<float> logits)
    {
        for (var at = 0; at < logits.Length; at += 64)
        {
            var bits = mask[at >> 6];
            var part = logits.Slice(at, Math.Min(64, logits.Length - at));
            if (bits == 0)
            {
                part.Fill(float.NegativeInfinity);
                continue;
            }

            for (bits = ~bits; bits != 0; bits &= bits - 1)
            {
                if (System.Numerics.BitOperations.TrailingZeroCount(bits) is var token && token < part.Length)
                    part[token] = float.NegativeInfinity;
            }
        }
    }

    /// <summary>Goes on past a chosen token.</summary>
    /// <exception cref="InvalidDataException">The token does not fit.</exception>
    public void Accept(int token)
    {
        if (_state.Accepting && _endOfSequence.Contains(token))
            return;
        foreach (var value in _trie.Bytes(token))
            _state = _machine.Next(_state, value) ?? throw new InvalidDataException("a token outside the output's grammar was chosen");
        var trimmed = _machine.Trim(_state);
        if (!ReferenceEquals(trimmed, _state))
            _masks.Clear();
        _state = trimmed;
    }
}
