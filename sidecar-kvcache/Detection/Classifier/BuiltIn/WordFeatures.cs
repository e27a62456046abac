namespace Moebius.KvCache.Detection.Classifier.BuiltIn;

/// <summary>
/// Turns each word of a passage into hashed features: what it and its neighbours are, in five-word windows, and whether
/// the passage speaks in the first person. Pure; the same in training and in use.
/// </summary>
internal sealed class WordFeatures
{
    /// <summary>Most features of one word.</summary>
    public const int Max = 64;

    private const int Reach = 5;
    private const int Margin = 2;
    private const ulong ForgottenWords = 12;
    private const ulong ForgottenNames = 25;

    private static readonly HashSet<string> FirstPerson = new(
        "i me my mine myself we our us i'm i've i'd i'll ich mein meine meinem meiner mir mich je j'ai mon ma mes moi yo mi mis me io mio mia miei eu meu minha ik mijn ja moja mój moje mnie я мой моя моё меня мне jag min mitt ben benim".Split(' ')
            .Select(Folding.Word), StringComparer.Ordinal) { "我", "私", "俺", "僕", "저", "제", "나", "내" };

    private readonly List<Word> _words;
    private readonly ulong[] _identity;
    private readonly ulong[] _looks;
    private readonly bool _personal;

    /// <param name="words">The passage.</param>
    /// <param name="lexicon">What is known of single words.</param>
    /// <param name="forget">
    /// For training: not 0, and some of what is known is forgotten, another part for each number. Else every word of a
    /// training text would be known, and what a strange word means would never be learnt.
    /// </param>
    public WordFeatures(List<Word> words, Lexicon lexicon, ulong forget = 0)
    {
        _words = words;
        _identity = new ulong[words.Count + (2 * Margin)];
        _looks = new ulong[words.Count + (2 * Margin)];
        for (var index = 0; index < Margin; index++)
        {
            _identity[index] = _looks[index] = 1;
            _identity[^(index + 1)] = _looks[^(index + 1)] = 2;
        }

        for (var index = 0; index < words.Count; index++)
        {
            var word = words[index];
            var shape = Shape(word.Text);
            var chance = forget == 0 ? ulong.MaxValue : FeatureHash.Combine(forget, FeatureHash.Of(word.Lower)) % 100;
            var common = word.IsSign || (chance >= ForgottenWords && lexicon.Common.Contains(word.Lower));
            if (!word.IsSign && !char.IsDigit(word.Text[0]))
            {
                Letters++;
                Known += common ? 1 : 0;
            }

            var book = chance is >= ForgottenWords and < ForgottenWords + ForgottenNames ? 0 : (lexicon.FirstNames.Contains(word.Lower) ? 1 : 0) | (lexicon.LastNames.Contains(word.Lower) ? 2 : 0) | (lexicon.Places.Contains(word.Lower) ? 4 : 0);
            _looks[index + Margin] = FeatureHash.Combine((ulong)(shape + (common ? 64 : 0) + (word.IsSign ? 256 * word.Text[0] : 0)), (ulong)book);
            _identity[index + Margin] = common ? FeatureHash.Of(word.Lower) : FeatureHash.Combine(3, (ulong)(shape + (book << 8)));
            _personal |= FirstPerson.Contains(word.Lower);
        }
    }

    /// <summary>Words of letters, and how many of them are common.</summary>
    public int Letters { get; }

    public int Known { get; }

    /// <summary>Fills in the features of a word.</summary>
    /// <returns>How many there are.</returns>
    public int Of(int word, Span<ulong> features)
    {
        var at = word + Margin;
        var count = 0;
        var (own, look) = (_identity[at], _looks[at]);
        Add(features, 1, 0);
        Add(features, 2, own);
        Add(features, 3, look);
        Add(features, 4, _identity[at - 1]);
        Add(features, 5, _identity[at + 1]);
        Add(features, 6, _identity[at - 2]);
        Add(features, 7, _identity[at + 2]);
        Add(features, 8, FeatureHash.Combine(_identity[at - 1], own));
        Add(features, 9, FeatureHash.Combine(own, _identity[at + 1]));
        Add(features, 10, FeatureHash.Combine(_looks[at - 1], look));
        Add(features, 11, FeatureHash.Combine(look, _looks[at + 1]));
        Add(features, 12, FeatureHash.Combine(FeatureHash.Combine(_looks[at - 1], look), _looks[at + 1]));
        Add(features, 13, FeatureHash.Combine(_identity[at - 1], look));
        Add(features, 14, FeatureHash.Combine(look, _identity[at + 1]));
        Add(features, 15, FeatureHash.Combine(FeatureHash.Combine(_identity[at - 2], _identity[at - 1]), look));
        Add(features, 16, FeatureHash.Combine(FeatureHash.Combine(look, _identity[at + 1]), _identity[at + 2]));
        Add(features, 17, FeatureHash.Combine(FeatureHash.Combine(_looks[at - 2], _looks[at - 1]), look));
        Add(features, 18, FeatureHash.Combine(FeatureHash.Combine(look, _looks[at + 1]), _looks[at + 2]));
        Add(features, 19, FeatureHash.Combine(FeatureHash.Combine(_identity[at - 2], _identity[at - 1]), own));
        Add(features, _personal ? 20u : 21u, own);
        Add(features, _personal ? 22u : 23u, look);
        Add(features, 24, FeatureHash.Combine(word == 0 ? 1UL : 0, look));
        var text = _words[word].Lower;
        if (text.Length >= 4)
        {
            var capital = char.IsUpper(_words[word].Text[0]) ? 1UL : 0;
            Add(features, 25, FeatureHash.Combine(capital, FeatureHash.Of(text[^2..])));
            Add(features, 26, FeatureHash.Combine(capital, FeatureHash.Of(text[^3..])));
            Add(features, 27, FeatureHash.Combine(capital, FeatureHash.Of(text[..3])));
        }

        for (var distance = 3; distance <= Reach; distance++)
        {
            if (word - distance >= 0)
                Add(features, 28, FeatureHash.Combine(_identity[at - distance], look));
            if (word + distance < _words.Count)
                Add(features, 29, FeatureHash.Combine(_identity[at + distance], look));
        }

        return count;

        void Add(Span<ulong> features, uint template, ulong value) => features[count++] = FeatureHash.Combine(template, value);
    }

    private static int Shape(string word)
    {
        if (char.IsDigit(word[0]))
            return 32 + Math.Min(word.Length, 7);
        var (upper, lower) = (0, 0);
        foreach (var character in word)
        {
            upper += char.IsUpper(character) ? 1 : 0;
            lower += char.IsLower(character) ? 1 : 0;
        }

        if (upper == 0)
            return lower > 0 ? 1 : word[0] >= '\uAC00' ? 2 : word[0] >= '\u2E80' ? 3 : 4;
        if (lower == 0)
            return word.Length == 1 ? 5 : 6;
        return char.IsUpper(word[0]) && upper == 1 ? 7 : char.IsUpper(word[0]) && word.AsSpan().ContainsAny('-', '\'') ? 8 : 9;
    }
}
