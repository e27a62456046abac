namespace Moebius.Inference.Constraints;

/// <summary>What an output must look like. Thread-safe.</summary>
/// <param name="root">The grammar of the whole text.</param>
/// <param name="trie">The vocabulary that writes it.</param>
/// <exception cref="AmbiguousGrammarException">The beginning has too many readings already.</exception>
internal sealed class OutputGrammar(GrammarNode root, TokenTrie trie)
{
    private GrammarMachine? first = new(root);

    /// <summary>The vocabulary that writes it.</summary>
    public TokenTrie Trie => trie;

    /// <summary>A machine that nobody else uses; the first one is what the grammar was checked with.</summary>
    public GrammarMachine Machine() => Interlocked.Exchange(ref first, null) ?? new GrammarMachine(root);
}

/// <summary>Keeps one sequence to its grammar: before a choice, what does not fit is ruled out. Not thread-safe.</summary>
internal sealed class OutputConstraint
{
    private const int MostMasks = 64;

    private readonly Dictionary<GrammarState, ulong[]> masks = [];
    private readonly GrammarMachine machine;
    private readonly TokenTrie trie;
    private readonly IReadOnlySet<int> endOfSequence;
    private GrammarState state;

    public OutputConstraint(OutputGrammar grammar, IReadOnlySet<int> endOfSequence)
    {
        machine = grammar.Machine();
        trie = grammar.Trie;
        this.endOfSequence = endOfSequence;
        state = machine.Start;
    }

    /// <summary>The text is whole and nothing can follow.</summary>
    public bool Finished => state.Complete;

    /// <summary>Makes every token that does not fit impossible. The end of sequence fits where the text may end.</summary>
    /// <param name="logits">[vocabulary]</param>
    /// <exception cref="AmbiguousGrammarException">The grammar cannot be followed.</exception>
    public void Restrict(Span<float> logits)
    {
        if (!masks.TryGetValue(state, out var mask))
        {
            mask = new ulong[(trie.Vocabulary + 63) / 64];
            trie.Fitting(machine, state, mask);
            foreach (var token in endOfSequence.Where(token => state.Accepting && (uint)token < (uint)trie.Vocabulary))
                mask[token >> 6] |= 1UL << (token & 63);
            if (masks.Count >= MostMasks)
                masks.Clear();
            masks.Add(state, mask);
        }

        Apply(mask, logits[..Math.Min(logits.Length, trie.Vocabulary)]);
        logits[Math.Min(logits.Length, trie.Vocabulary)..].Fill(float.NegativeInfinity);
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
        if (state.Accepting && endOfSequence.Contains(token))
            return;
        foreach (var value in trie.Bytes(token))
            state = machine.Next(state, value) ?? throw new InvalidDataException("a token outside the output's grammar was chosen");
        var trimmed = machine.Trim(state);
        if (!ReferenceEquals(trimmed, state))
            masks.Clear();
        state = trimmed;
    }
}
