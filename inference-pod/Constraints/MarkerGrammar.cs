using System.Text;

namespace Moebius.Inference.Constraints;

/// <summary>
/// The grammar of text between markers. A marker may be a control token: these have no text, so in a grammar each is a
/// byte that no text holds and its name. What keeps to a grammar of text holds none.
/// </summary>
internal static class MarkerGrammar
{
    /// <summary>Begins a control token; UTF-8 never has it.</summary>
    private const byte Control = 0xFF;

    /// <summary>What a grammar reads for a control token.</summary>
    /// <param name="name">The bytes of its name.</param>
    public static byte[] ControlToken(ReadOnlySpan<byte> name) => [Control, .. name];

    /// <summary>A marker, as a control token or as text.</summary>
    public static GrammarNode Marker(string text) => new ChoiceNode(JsonGrammar.Exactly(text), new LiteralNode(ControlToken(Encoding.UTF8.GetBytes(text))));

    /// <summary>Any text up to the first place where a marker stands, and the marker. There is no other control token in it.</summary>
    /// <param name="end">The marker. ASCII; its first character is nowhere else in it.</param>
    /// <param name="never">Markers that do not stand in the text either; they begin as the first one does.</param>
    public static GrammarNode Until(string end, params IReadOnlyList<string> never)
    {
        string[] markers = [end, .. never];
        // A place in the text is what of a marker stands before it.
        var places = markers.SelectMany(marker => Enumerable.Range(0, marker.Length).Select(length => marker[..length])).Distinct().ToDictionary(begun => begun, _ => new RuleNode());
        foreach (var (begun, place) in places)
        {
            int[] more = [.. markers.Where(marker => marker.Length > begun.Length && marker.StartsWith(begun, StringComparison.Ordinal)).Select(marker => (int)marker[begun.Length]).Distinct()];
            List<GrammarNode> next = [new LiteralNode(ControlToken(Encoding.ASCII.GetBytes(end)))];
            foreach (var value in more)
            {
                var longer = begun + (char)value;
                if (longer == end)
                    next.Add(Byte(value));
                else if (places.TryGetValue(longer, out var further))
                    next.Add(new SequenceNode(Byte(value), further));
            }

            // What does not go on with a marker may begin one.
            if (!more.Contains(end[0]))
                next.Add(new SequenceNode(Byte(end[0]), places[end[..1]]));
            next.Add(new SequenceNode(new ByteSetNode([.. Enumerable.Range(0, Control).Except([end[0], .. more]).Select(value => (value, value))]), places[""]));
            place.Target = new ChoiceNode(next);
        }

        return places[""];
    }

    private static ByteSetNode Byte(int value) => new((value, value));
}
