using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Constraints;

/// <summary>
/// The texts of a vocabulary as a tree over bytes, in depth-first order: one walk finds all tokens that a grammar
/// allows, and what one token cannot begin with, no other has to be tried for.
/// </summary>
internal sealed class TokenTrie
{
    private readonly byte[] label;
    private readonly int[] depth;
    private readonly int[] skip;        // the next node that is not below
    private readonly int[] firstToken;  // tokens that end at a node: from here to the next node's
    private readonly int[] tokens;
    private readonly int longest;
    private readonly Tokenizer tokenizer;
    private readonly Dictionary<int, byte[]> control;

    /// <param name="tokenizer">The vocabulary. Tokens without text are left out.</param>
    /// <param name="vocabulary">Ids are below this.</param>
    /// <param name="markers">Special tokens that a grammar may ask for; the others are left out.</param>
    public TokenTrie(Tokenizer tokenizer, int vocabulary, params IEnumerable<int> markers)
    {
        this.tokenizer = tokenizer;
        Vocabulary = vocabulary;
        control = markers.ToDictionary(id => id, id => MarkerGrammar.ControlToken(tokenizer.Bytes(id)));
        tokens = [.. Enumerable.Range(0, Math.Min(vocabulary, tokenizer.Count)).Where(id => Bytes(id).Length > 0)];
        Array.Sort(tokens, (left, right) => Bytes(left).SequenceCompareTo(Bytes(right)));
        List<byte> labels = [];
        List<int> depths = [], firsts = [];
        for (var i = 0; i < tokens.Length; i++)
        {
            var text = Bytes(tokens[i]);
            for (var at = i == 0 ? 0 : text.CommonPrefixLength(Bytes(tokens[i - 1])); at < text.Length; at++)
            {
                labels.Add(text[at]);
                depths.Add(at);
                firsts.Add(i);
            }
        }

        label = [.. labels];
        depth = [.. depths];
        firstToken = [.. firsts, tokens.Length];
        skip = new int[label.Length];
        var open = new Stack<int>();
        for (var node = 0; node <= label.Length; node++)
        {
            while (open.TryPeek(out var last) && (node == label.Length || depth[last] >= depth[node]))
                skip[open.Pop()] = node;
            open.Push(node);
        }

        longest = depths.Count == 0 ? 0 : depths.Max() + 1;
    }

    /// <summary>Ids are below this.</summary>
    public int Vocabulary { get; }

    /// <summary>What a grammar reads for a token; nothing where no grammar has it.</summary>
    public ReadOnlySpan<byte> Bytes(int id) => control.TryGetValue(id, out var bytes) ? bytes : tokenizer.TextBytes(id);

    /// <summary>Marks the tokens whose whole text the grammar allows next.</summary>
    /// <param name="machine">The grammar.</param>
    /// <param name="from">Where it is.</param>
    /// <param name="mask">[vocabulary] one bit a token, 64 to a word, all zero before.</param>
    public void Fitting(GrammarMachine machine, GrammarState from, ulong[] mask)
    {
        var path = new GrammarState[longest + 1];
        path[0] = from;
        for (var node = 0; node < label.Length;)
        {
            if (machine.Next(path[depth[node]], label[node]) is not { } next)
            {
                node = skip[node];
                continue;
            }

            path[depth[node] + 1] = next;
            for (var i = firstToken[node]; i < firstToken[node + 1]; i++)
                mask[tokens[i] >> 6] |= 1UL << (tokens[i] & 63);
            node++;
        }
    }
}
