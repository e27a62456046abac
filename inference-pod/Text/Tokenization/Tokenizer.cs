using System.Buffers;
using System.Text;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>
/// Text to tokens and back, as a model's <c>tokenizer.json</c> describes it: byte-level BPE and SentencePiece-style
/// BPE with byte fallback, with added and special tokens. Thread-safe.
/// </summary>
internal sealed class Tokenizer
{
    private readonly ITextNormalizer? _normalizer;
    private readonly IPreTokenizer? _preTokenizer;
    private readonly BpeModel _model;
    private readonly AddedTokens _raw;
    private readonly AddedTokens _normalized;
    private readonly byte[][] _bytes;
    private readonly bool[] _special;
    private readonly int _leadingSpaces;

    public Tokenizer(
        ITextNormalizer? normalizer,
        IPreTokenizer? preTokenizer,
        BpeModel model,
        IReadOnlyList<AddedToken> added,
        byte[][] bytes,
        IReadOnlyList<int> prefix,
        IReadOnlyList<int> suffix,
        int leadingSpaces = 0)
    {
        _normalizer = normalizer;
        _preTokenizer = preTokenizer;
        _model = model;
        _bytes = bytes;
        _leadingSpaces = leadingSpaces;
        Prefix = prefix;
        Suffix = suffix;
        _special = new bool[bytes.Length];
        foreach (var token in added)
            _special[token.Id] = token.Special;
        _raw = new AddedTokens(added.Where(token => !token.Normalized));
        _normalized = new AddedTokens(added.Where(token => token.Normalized)
            .Select(token => token with { Content = normalizer?.Normalize(new Piece(token.Content, true)).Text ?? token.Content }));
        SpecialIds = added.Where(token => token.Special).GroupBy(token => token.Content).ToDictionary(group => group.Key, group => group.First().Id);
    }

    /// <summary>Ids are below this.</summary>
    public int Count => _bytes.Length;

    /// <summary>Special tokens put before a text (<c>&lt;s&gt;</c> where the model has one).</summary>
    public IReadOnlyList<int> Prefix { get; }

    /// <summary>Special tokens put after a text.</summary>
    public IReadOnlyList<int> Suffix { get; }

    /// <summary>Special tokens by their text.</summary>
    public IReadOnlyDictionary<string, int> SpecialIds { get; }

    /// <summary>Reads <c>tokenizer.json</c> of a model directory, and what <c>tokenizer_config.json</c> says of the tokens around a text.</summary>
    /// <exception cref="Crds.UserInputException">Missing, damaged, or of a kind that is not supported.</exception>
    public static Tokenizer Load(string directory) => TokenizerFile.Load(Path.Combine(directory, TokenizerFile.Name), TokenizerConfig.Load(directory), PatternTime.Most);

    /// <summary>The tokens of a text.</summary>
    /// <param name="text">The text; added tokens in it are recognised.</param>
    /// <param name="addSpecialTokens">Put <see cref="Prefix"/> and <see cref="Suffix"/> around it.</param>
    public List<int> Encode(string text, bool addSpecialTokens)
    {
        TryEncode(text, addSpecialTokens, int.MaxValue, PatternTime.OfOneMatch, out var ids);
        return ids;
    }

    /// <summary>The tokens of a text for a model, which may lack some that the tokenizer has.</summary>
    /// <param name="text">The text; added tokens in it are recognised.</param>
    /// <param name="addSpecialTokens">Put <see cref="Prefix"/> and <see cref="Suffix"/> around it.</param>
    /// <param name="vocabulary">The model's token ids are below this.</param>
    /// <param name="what">Names the text in the error.</param>
    /// <exception cref="Crds.UserInputException">It has a token that the model lacks.</exception>
    public List<int> Encode(string text, bool addSpecialTokens, int vocabulary, string what)
    {
        var ids = Encode(text, addSpecialTokens);
        var strange = ids.FindIndex(id => id >= vocabulary);
        return strange < 0 ? ids : throw new Crds.UserInputException($"{what} has the token {ids[strange]}: the tokenizer knows it, but the model's token ids end at {vocabulary - 1}");
    }

    /// <summary>The tokens of a text, unless they are too many: that is found out early, whatever the text's length.</summary>
    /// <param name="text">The text; added tokens in it are recognised.</param>
    /// <param name="addSpecialTokens">Put <see cref="Prefix"/> and <see cref="Suffix"/> around it.</param>
    /// <param name="most">Largest number of tokens.</param>
    /// <param name="ids">The tokens; when they are too many, some of them.</param>
    /// <returns>Whether there are at most <paramref name="most"/>.</returns>
    /// <exception cref="System.Text.RegularExpressions.RegexMatchTimeoutException">It takes longer than <see cref="PatternTime.Most"/>.</exception>
    public bool TryEncode(string text, bool addSpecialTokens, int most, out List<int> ids) =>
        TryEncode(text, addSpecialTokens, most, new PatternTime(), out ids);

    private bool TryEncode(string text, bool addSpecialTokens, int most, PatternTime time, out List<int> ids)
    {
        ids = new List<int>(Math.Min((text.Length / 3) + 4, most));
        if (addSpecialTokens)
            ids.AddRange(Prefix);
        foreach (var (piece, token) in _raw.Split(new Piece(text, true), time))
        {
            if (token is not null)
                ids.Add(token.Id);
            else if (!EncodeNormalized(_normalizer?.Normalize(piece) ?? piece, ids, most, time))
                return false;
            if (ids.Count > most)
                return false;
        }

        if (addSpecialTokens)
            ids.AddRange(Suffix);
        return ids.Count <= most;
    }

    /// <summary>The bytes a token stands for; of a special token, those of its name. Empty for an id out of range.</summary>
    public ReadOnlySpan<byte> Bytes(int id) => (uint)id < (uint)_bytes.Length ? _bytes[id] : [];

    /// <summary>The bytes a token adds to a text: none for a special token.</summary>
    public ReadOnlySpan<byte> TextBytes(int id) => IsSpecial(id) ? [] : Bytes(id);

    /// <summary>Whether a token is a control token.</summary>
    public bool IsSpecial(int id) => (uint)id < (uint)_special.Length && _special[id];

    /// <summary>
    /// The text of tokens without the special ones, as the beginning of a text: the space that was put in front of it is taken
    /// off again. Bytes that are not UTF-8 become U+FFFD.
    /// </summary>
    public string Decode(IEnumerable<int> ids) => Decode(ids, out _);

    /// <summary>The same.</summary>
    /// <param name="ids">The tokens.</param>
    /// <param name="taken">Spaces that were taken off.</param>
    public string Decode(IEnumerable<int> ids, out int taken)
    {
        var buffer = new ArrayBufferWriter<byte>();
        foreach (var id in ids)
            buffer.Write(TextBytes(id));
        var text = buffer.WrittenSpan;
        taken = 0;
        while (taken < _leadingSpaces && taken < text.Length && text[taken] == ' ')
            taken++;
        return Encoding.UTF8.GetString(text[taken..]);
    }

    /// <summary>The same text with the names of special tokens, token by token as its characters become whole.</summary>
    public IEnumerable<string> DecodeInPieces(IEnumerable<int> ids)
    {
        var text = new Utf8Stream();
        var left = _leadingSpaces;
        foreach (var id in ids)
        {
            var bytes = Bytes(id);
            while (left > 0 && bytes is [(byte)' ', ..])
            {
                bytes = bytes[1..];
                left--;
            }

            if (bytes.Length > 0)
                left = 0;
            yield return text.Append(bytes);
        }

        yield return text.Finish();
    }

    private bool EncodeNormalized(Piece text, List<int> ids, int most, PatternTime time)
    {
        foreach (var (piece, token) in _normalized.Split(text, time))
        {
            if (token is not null)
            {
                ids.Add(token.Id);
                continue;
            }

            foreach (var word in _preTokenizer?.Split(piece) ?? [piece])
            {
                time.Check();
                if (ids.Count + _model.FewestTokens(word.Text) > most)
                    return false;
                _model.Encode(word.Text, ids);
            }
        }

        return true;
    }
}
