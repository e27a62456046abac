using System.Globalization;

namespace Moebius.Inference.Constraints;

/// <summary>The decimal integers between two bounds, as a grammar.</summary>
internal static class IntegerRange
{
    /// <summary>Largest magnitude: every such integer is exact in a JSON number.</summary>
    public const long Largest = 999_999_999_999_999;

    private static readonly ByteSetNode AnyDigit = Digit('0', '9');

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
        var (first, last) = (Digits(least), Digits(most));
        if (first.Length == last.Length)
            return new ChoiceNode(SameLength(first, last));
        var lengths = new List<GrammarNode> { SameLength(first, new string('9', first.Length)), SameLength(Power(last.Length - 1), last) };
        if (last.Length - first.Length > 1)
            lengths.Add(new SequenceNode(Digit('1', '9'), new RepeatNode(AnyDigit, first.Length, last.Length - 2)));
        return new ChoiceNode(lengths);
    }

    private static GrammarNode SameLength(string least, string most)
    {
        var rest = least.Length - 1;
        // Whatever the first digit, any others may follow.
        if (least.AsSpan(1).TrimStart('0').IsEmpty && most.AsSpan(1).TrimStart('9').IsEmpty)
            return rest == 0 ? Digit(least[0], most[0]) : new SequenceNode(Digit(least[0], most[0]), AnyDigits(rest));
        if (least[0] == most[0])
            return new SequenceNode(Digit(least[0], least[0]), SameLength(least[1..], most[1..]));
        var parts = new List<GrammarNode>
        {
            new SequenceNode(Digit(least[0], least[0]), SameLength(least[1..], new string('9', rest))),
            new SequenceNode(Digit(most[0], most[0]), SameLength(new string('0', rest), most[1..])),
        };
        if (most[0] - least[0] > 1)
            parts.Add(new SequenceNode(Digit((char)(least[0] + 1), (char)(most[0] - 1)), AnyDigits(rest)));
        return new ChoiceNode(parts);
    }

    private static RepeatNode AnyDigits(int count) => new(AnyDigit, count, count);

    private static ByteSetNode Digit(char first, char last) => new((first, last));

    private static string Power(int zeros) => "1" + new string('0', zeros);

    private static string Digits(long value) => value.ToString(CultureInfo.InvariantCulture);
}
