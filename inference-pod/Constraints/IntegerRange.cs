using System.Globalization;

namespace Moebius.Inference.Constraints;

/// <summary>The decimal integers between two bounds, as a grammar.</summary>
internal static class IntegerRange
{
    /// <summary>Largest magnitude: every such integer is exact in a JSON number.</summary>
    public const long Largest = 999_999_999_999_999;

    /// <param name="least">First integer, at least minus <see cref="Largest"/>.</param>
    /// <param name="most">Last integer, at least <paramref name="least"/> and at most <see cref="Largest"/>.</param>
    public static GrammarNode Between(long least, long most)
    {
        var parts = new List<GrammarNode>();
        if (least < 0)
            parts.Add(new SequenceNode(JsonGrammar.Exactly("-"), Natural(Math.Max(1, -most), -least)));
        if (most >= 0)
            parts.Add(Natural(Math.Max(0, least), most));
        return new ChoiceNode(parts);
    }

    private static ChoiceNode Natural(long least, long most)
    {
        var lengths = new List<GrammarNode>();
        var (shortest, longest) = (Digits(least).Length, Digits(most).Length);
        for (var length = shortest; length <= longest; length++)
            lengths.Add(SameLength(length == shortest ? Digits(least) : "1" + new string('0', length - 1), length == longest ? Digits(most) : new string('9', length)));
        return new ChoiceNode(lengths);
    }

    private static GrammarNode SameLength(string least, string most)
    {
        if (least.Length == 0 || (least.All(digit => digit == '0') && most.All(digit => digit == '9')))
            return AnyDigits(least.Length);
        if (least[0] == most[0])
            return new SequenceNode(Digit(least[0], least[0]), SameLength(least[1..], most[1..]));
        var rest = least.Length - 1;
        var parts = new List<GrammarNode>
        {
            new SequenceNode(Digit(least[0], least[0]), SameLength(least[1..], new string('9', rest))),
            new SequenceNode(Digit(most[0], most[0]), SameLength(new string('0', rest), most[1..])),
        };
        if (most[0] - least[0] > 1)
            parts.Add(new SequenceNode(Digit((char)(least[0] + 1), (char)(most[0] - 1)), AnyDigits(rest)));
        return new ChoiceNode(parts);
    }

    private static RepeatNode AnyDigits(int count) => new(Digit('0', '9'), count, count);

    private static ByteSetNode Digit(char first, char last) => new((first, last));

    private static string Digits(long value) => value.ToString(CultureInfo.InvariantCulture);
}
