using System.Globalization;
using System.Text;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>
/// Byte-pair encoding over characters, as <c>tokenizer.json</c> describes it: the pair of lowest rank merges first,
/// the leftmost of equals. Merging works on a heap, so a long word (SentencePiece models read a whole text as one)
/// costs n log n.
/// </summary>
internal sealed class BpeModel
{
    private readonly Dictionary<string, int> _vocabulary;
    private readonly Dictionary<(int Left, int Right), (int Rank, int Merged)> _merges;
    private readonly int?[] _byteTokens = new int?[256];
    private readonly int? _unknown;
    private readonly bool _fuseUnknown;
    private readonly bool _ignoreMerges;

    /// <summary>Characters that one token stands for at most; null where it may be any number.</summary>
    private readonly int? _longest;

    public BpeModel(
        Dictionary<string, int> vocabulary,
        Dictionary<(int Left, int Right), (int Rank, int Merged)> merges,
        int? unknown,
        bool fuseUnknown,
        bool byteFallback,
        bool ignoreMerges)
    {
        _vocabulary = vocabulary;
        _merges = merges;
        _unknown = unknown;
        _fuseUnknown = fuseUnknown;
        _ignoreMerges = ignoreMerges;
        for (var value = 0; byteFallback && value < 256; value++)
        {
            if (vocabulary.TryGetValue(ByteToken((byte)value), out var id))
                _byteTokens[value] = id;
        }

        // Where every character has a token, or one for each of its bytes, none is dropped or fused with others.
        _longest = KnowsAllBytes(byteLevel: true) && vocabulary.Count > 0 ? vocabulary.Keys.Max(token => token.Length) : null;
    }

    /// <summary>Whether no text has a character for which there is no token.</summary>
    /// <param name="byteLevel">Words are bytes, written as characters.</param>
    public bool KnowsAllBytes(bool byteLevel) => Array.TrueForAll(_byteTokens, token => token is not null)
        || (byteLevel && Enumerable.Range(0, 256).All(value => _vocabulary.ContainsKey(ByteAlphabet.Of((byte)value).ToString())));

    /// <summary>A word has at least so many tokens; told from its length alone.</summary>
    public int FewestTokens(string word) => _longest is { } most ? (word.Length + most - 1) / most : 0;

    /// <summary>The token that stands for one byte where byte fallback is on, such as <c>&lt;0x0A&gt;</c>.</summary>
    public static string ByteToken(byte value) => string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>");

    /// <summary>Appends the tokens of one word.</summary>
    public void Encode(string word, List<int> output)
    {
        if (word.Length == 0)
            return;
        if (_ignoreMerges && _vocabulary.TryGetValue(word, out var whole))
        {
            output.Add(whole);
            return;
        }

        var symbols = Symbols(word);
        if (symbols.Count > 1)
            Merge(symbols);
        for (var i = symbols.Count > 0 ? 0 : -1; i >= 0; i = symbols[i].Next)
            output.Add(symbols[i].Id);
    }

    private List<Symbol> Symbols(string word)
    {
        var symbols = new List<Symbol>(word.Length);
        var lastUnknown = false;
        Span<byte> utf8 = stackalloc byte[4];
        for (var i = 0; i < word.Length;)
        {
            var length = char.IsSurrogatePair(word, i) ? 2 : 1;
            if (_vocabulary.TryGetValue(word.Substring(i, length), out var id))
            {
                Add(symbols, id);
                lastUnknown = false;
            }
            else
            {
                var rune = Rune.TryGetRuneAt(word, i, out var found) ? found : Rune.ReplacementChar;
                var bytes = utf8[..rune.EncodeToUtf8(utf8)];
                if (HasAll(bytes))
                {
                    foreach (var value in bytes)
                        Add(symbols, _byteTokens[value]!.Value);
                    lastUnknown = false;
                }
                else if (_unknown is { } token && !(_fuseUnknown && lastUnknown))
                {
                    Add(symbols, token);
                    lastUnknown = true;
                }
            }

            i += length;
        }

        // Where no token stands for the unknown, unknown characters are dropped, possibly all of them.
        if (symbols.Count > 0)
            symbols[^1] = symbols[^1] with { Next = -1 };
        return symbols;
    }

    private static void Add(List<Symbol> symbols, int id) => symbols.Add(new Symbol(id, symbols.Count - 1, symbols.Count + 1));

    private bool HasAll(ReadOnlySpan<byte> bytes)
    {
        foreach (var value in bytes)
        {
            if (_byteTokens[value] is null)
                return false;
        }

        return true;
    }

    private void Merge(List<Symbol> symbols)
    {
        var queue = new PriorityQueue<Candidate, (int Rank, int Position)>();
        for (var i = 0; i + 1 < symbols.Count; i++)
            Offer(i);
        while (queue.TryDequeue(out var candidate, out var priority))
        {
            var left = symbols[priority.Position];
            // A candidate is void when one of its halves has merged with another neighbour since.
            if (left.Id != candidate.Left || left.Next < 0 || symbols[left.Next].Id != candidate.Right)
                continue;
            var right = symbols[left.Next];
            symbols[left.Next] = right with { Id = -1 };
            symbols[priority.Position] = left with { Id = candidate.Merged, Next = right.Next };
            if (right.Next >= 0)
            {
                symbols[right.Next] = symbols[right.Next] with { Previous = priority.Position };
                Offer(priority.Position);
            }

            if (left.Previous >= 0)
                Offer(left.Previous);
        }

        void Offer(int position)
        {
            var left = symbols[position];
            var right = symbols[left.Next];
            if (_merges.TryGetValue((left.Id, right.Id), out var merge))
                queue.Enqueue(new Candidate(left.Id, right.Id, merge.Merged), (merge.Rank, position));
        }
    }

    private readonly record struct Symbol(int Id, int Previous, int Next);

    private readonly record struct Candidate(int Left, int Right, int Merged);
}
