using Moebius.Inference.Constraints;

namespace Moebius.Inference.Tools;

/// <summary>
/// Grammars of answers in gpt-oss' channels whose last message has one; reasoning is free. The prompt has begun the first
/// message's header.
/// </summary>
internal static class HarmonyGrammar
{
    private static readonly GrammarNode Message = MarkerGrammar.Marker(HarmonyReader.Message);
    private static readonly GrammarNode Channel = MarkerGrammar.Marker(HarmonyReader.Channel);

    /// <summary>What may say that a message is JSON. It never goes on with the word before it, such as a tool's name.</summary>
    private static readonly GrammarNode Json = JsonGrammar.Optional(new SequenceNode(
        new ChoiceNode(
            new SequenceNode(JsonGrammar.Exactly(" "), JsonGrammar.Optional(MarkerGrammar.Marker(HarmonyReader.Constrain))),
            MarkerGrammar.Marker(HarmonyReader.Constrain)),
        JsonGrammar.Exactly("json")));

    /// <summary>Messages of reasoning, each with the beginning of the next one's header.</summary>
    private static readonly GrammarNode Reasoning = new RepeatNode(
        new SequenceNode(
            Channel, JsonGrammar.Exactly(HarmonyReader.Analysis), Message,
            MarkerGrammar.Until(HarmonyReader.End, HarmonyReader.Call, HarmonyReader.Return, HarmonyReader.Start, HarmonyReader.Channel),
            MarkerGrammar.Marker(HarmonyReader.Start), JsonGrammar.Exactly("assistant")),
        0, null);

    /// <summary>An answer to the user that has a grammar.</summary>
    /// <param name="content">The answer's.</param>
    /// <param name="reasons">Reasoning may stand before it.</param>
    public static GrammarNode Final(GrammarNode content, bool reasons) =>
        Behind(reasons, new SequenceNode(Channel, JsonGrammar.Exactly("final"), Json, Message, content));

    /// <summary>A call of one of some tools: the format has one in a turn.</summary>
    /// <param name="tools">Their names and the grammars of their arguments.</param>
    /// <param name="reasons">Reasoning may stand before it.</param>
    public static GrammarNode Call(IEnumerable<(string Name, GrammarNode Arguments)> tools, bool reasons) => Behind(reasons, new ChoiceNode([.. tools.Select(Call)]));

    private static SequenceNode Call((string Name, GrammarNode Arguments) tool)
    {
        var recipient = JsonGrammar.Exactly($" {HarmonyReader.Recipient}{HarmonyReader.Functions}{tool.Name}");
        var commentary = new SequenceNode(Channel, JsonGrammar.Exactly("commentary"));
        return new SequenceNode(new ChoiceNode(new SequenceNode(commentary, recipient), new SequenceNode(recipient, commentary)), Json, Message, tool.Arguments);
    }

    private static GrammarNode Behind(bool reasons, GrammarNode message) => reasons ? new SequenceNode(Reasoning, message) : message;
}
