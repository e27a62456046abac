using System.Runtime.CompilerServices;

namespace Moebius.KvCache.Detection;

/// <summary>
/// A fixed set of words with a number each, looked up in any case without allocating. Words are stored as they look
/// after folding.
/// </summary>
internal sealed class WordTable
{
    private readonly string?[] _words;
    private readonly int[] _values;
    private readonly int _mask;
    private readonly int _longest;

    // One bit for each word, by its first two characters, its last one and its length. Turns nearly all other words away.
    private readonly ulong[] _filter = new ulong[FilterBits / 64];
    private const int FilterBits = 1 << 15;

    public WordTable(IReadOnlyCollection<KeyValuePair<string, int>> entries)
    {
        _mask = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(4 * entries.Count + 1)) - 1;
        _words = new string?[_mask + 1];
        _values = new int[_mask + 1];
        foreach (var (word, value) in entries)
        {
            var slot = (int)Hash(word) & _mask;
            while (_words[slot] is not null)
                slot = (slot + 1) & _mask;
            (_words[slot], _values[slot]) = (word, value);
            _longest = Math.Max(_longest, word.Length);
            var bit = FilterBit(word[0], word[Math.Min(1, word.Length - 1)], word[^1], word.Length);
            _filter[bit >> 6] |= 1ul << (bit & 63);
        }
    }

    /// <summary>A set of words.</summary>
    public static WordTable Of(IEnumerable<string> words) =>
        new([.. Forms(words).Distinct(StringComparer.Ordinal).Select(word => KeyValuePair.Create(word, 1))]);

    /// <summary>A word in each of its cases as it looks after folding: folding works letter by letter, and capitals fold differently.</summary>
    public static IEnumerable<string> Forms(IEnumerable<string> words) =>
        words.Where(word => word.Length > 0)
            .SelectMany(word => new[] { word, word.ToUpperInvariant(), char.ToUpperInvariant(word[0]) + word[1..] })
            .Select(Folding.Word);

    public bool Contains(ReadOnlySpan<char> word) => Find(word) != 0;

    /// <summary>The word's number; 0: not in the table.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Find(ReadOnlySpan<char> word)
    {
        if (word.Length == 0 || word.Length > _longest)
            return 0;
        var bit = FilterBit(Lower(word[0]), Lower(word[Math.Min(1, word.Length - 1)]), Lower(word[^1]), word.Length);
        if ((_filter[bit >> 6] & (1ul << (bit & 63))) == 0)
            return 0;
        var hash = 2166136261u;
        foreach (var character in word)
            hash = (hash ^ Lower(character)) * 16777619u;
        for (var slot = (int)hash & _mask; _words[slot] is { } known; slot = (slot + 1) & _mask)
        {
            if (known.Length == word.Length && SameLower(known, word))
                return _values[slot];
        }

        return 0;
    }

    private static bool SameLower(string known, ReadOnlySpan<char> word)
    {
        for (var index = 0; index < known.Length; index++)
        {
            if (known[index] != Lower(word[index]))
                return false;
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static char Lower(char character) =>
        character < 128 ? (char)(character is >= 'A' and <= 'Z' ? character | 0x20 : character) : char.ToLowerInvariant(character);

    private static int FilterBit(char first, char second, char last, int length) =>
        (int)(((first + (second * 43u) + (last * 1849u) + ((uint)length * 7919u)) * 2654435769u) >> 17);

    private static uint Hash(string word)
    {
        var hash = 2166136261u;
        foreach (var character in word)
            hash = (hash ^ character) * 16777619u;
        return hash;
    }
}
