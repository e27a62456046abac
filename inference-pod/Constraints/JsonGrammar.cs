using System.Text;

namespace Moebius.Inference.Constraints;

/// <summary>
/// The grammar of JSON (RFC 8259), within bounds that keep a model from writing for ever: blanks only where printers of
/// JSON put them (on one line, or indented), and numbers of at most 15 digits.
/// </summary>
internal static class JsonGrammar
{
    /// <summary>Six levels of four blanks, twelve of two. A grammar does not know how deep it is, so that this holds for every line.</summary>
    private const int MostIndent = 24;

    private static readonly ByteSetNode Hex = new(('0', '9'), ('a', 'f'), ('A', 'F'));
    private static readonly ByteSetNode AnyDigit = new(('0', '9'));
    private static readonly ByteSetNode Continuation = new((0x80, 0xBF));
    private static readonly RuleNode AnyValue = new();

    /// <summary>What may stand before an item and before the closing bracket: nothing, a blank, or a new line with its indent.</summary>
    public static GrammarNode Space { get; } = Optional(new ChoiceNode(Exactly(" "), new SequenceNode(Exactly("\n"), new RepeatNode(ByteSetNode.Of(" \t"), 0, MostIndent))));

    /// <summary>What stands between two items.</summary>
    public static GrammarNode Comma { get; } = Exactly(",");

    private static readonly GrammarNode Colon = new SequenceNode(Exactly(":"), Optional(Exactly(" ")));

    /// <summary>One character of a string, as itself or escaped; never half a surrogate pair.</summary>
    public static GrammarNode Character { get; } = new ChoiceNode(
        new ByteSetNode((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7F)),
        new SequenceNode(new ByteSetNode((0xC2, 0xDF)), Continuation),
        new SequenceNode(Byte(0xE0), new ByteSetNode((0xA0, 0xBF)), Continuation),
        new SequenceNode(new ByteSetNode((0xE1, 0xEC), (0xEE, 0xEF)), Continuation, Continuation),
        new SequenceNode(Byte(0xED), new ByteSetNode((0x80, 0x9F)), Continuation),
        new SequenceNode(Byte(0xF0), new ByteSetNode((0x90, 0xBF)), Continuation, Continuation),
        new SequenceNode(new ByteSetNode((0xF1, 0xF3)), Continuation, Continuation, Continuation),
        new SequenceNode(Byte(0xF4), new ByteSetNode((0x80, 0x8F)), Continuation, Continuation),
        new SequenceNode(Byte('\\'), new ChoiceNode(
            ByteSetNode.Of("\"\\/bfnrt"),
            new SequenceNode(Byte('u'), new ByteSetNode(('0', '9'), ('a', 'c'), ('A', 'C'), ('e', 'f'), ('E', 'F')), Hex, Hex, Hex),
            new SequenceNode(Byte('u'), ByteSetNode.Of("dD"), new ByteSetNode(('0', '7')), Hex, Hex),
            new SequenceNode(Byte('u'), ByteSetNode.Of("dD"), ByteSetNode.Of("89abAB"), Hex, Hex, Exactly("\\u"), ByteSetNode.Of("dD"), ByteSetNode.Of("cdefCDEF"), Hex, Hex))));

    /// <summary>A string.</summary>
    public static GrammarNode String { get; } = StringOf(0, null);

    /// <summary>A whole number.</summary>
    public static GrammarNode Integer { get; } = IntegerRange.Between(-IntegerRange.Largest, IntegerRange.Largest);

    /// <summary>A number.</summary>
    public static GrammarNode Number { get; } = new SequenceNode(
        Optional(Exactly("-")),
        IntegerRange.Between(0, IntegerRange.Largest),
        Optional(new SequenceNode(Exactly("."), new RepeatNode(AnyDigit, 1, 15))),
        Optional(new SequenceNode(ByteSetNode.Of("eE"), Optional(ByteSetNode.Of("+-")), new RepeatNode(AnyDigit, 1, 2))));

    /// <summary><c>true</c> or <c>false</c>.</summary>
    public static GrammarNode Boolean { get; } = new ChoiceNode(Exactly("true"), Exactly("false"));

    /// <summary><c>null</c>.</summary>
    public static GrammarNode Null { get; } = Exactly("null");

    /// <summary>Any object.</summary>
    public static GrammarNode Object { get; } = Map(AnyValue);

    /// <summary>Any value.</summary>
    public static GrammarNode Value { get; } = Any();

    /// <summary>A string of so many characters (Unicode code points).</summary>
    public static GrammarNode StringOf(int least, int? most) => new SequenceNode(Exactly("\""), new RepeatNode(Character, least, most), Exactly("\""));

    /// <summary>An array of so many items.</summary>
    public static GrammarNode ArrayOf(GrammarNode item, int least, int? most)
    {
        var next = new SequenceNode(Space, item);
        var all = new SequenceNode(next, new RepeatNode(new SequenceNode(Comma, next), Math.Max(0, least - 1), most - 1));
        return new SequenceNode(Exactly("["), most == 0 ? new SequenceNode() : least == 0 ? Optional(all) : all, Space, Exactly("]"));
    }

    /// <summary>An object of any names.</summary>
    public static GrammarNode Map(GrammarNode value)
    {
        var pair = new SequenceNode(Space, StringOf(0, null), Colon, value);
        return new SequenceNode(Exactly("{"), Optional(new SequenceNode(pair, new RepeatNode(new SequenceNode(Comma, pair), 0, null))), Space, Exactly("}"));
    }

    /// <summary>A name with its value.</summary>
    /// <param name="name">The name as JSON, in quotes.</param>
    /// <param name="value">The value.</param>
    public static GrammarNode Pair(string name, GrammarNode value) => new SequenceNode(Space, Exactly(name), Colon, value);

    /// <summary>Exactly this text.</summary>
    public static GrammarNode Exactly(string text) => new LiteralNode(Encoding.UTF8.GetBytes(text));

    /// <summary>The part or nothing.</summary>
    public static GrammarNode Optional(GrammarNode part) => new RepeatNode(part, 0, 1);

    private static ByteSetNode Byte(int value) => new((value, value));

    private static RuleNode Any()
    {
        AnyValue.Target = new ChoiceNode(String, Number, Boolean, Null, Object, ArrayOf(AnyValue, 0, null));
        return AnyValue;
    }
}
