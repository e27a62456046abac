using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Constraints;

namespace Moebius.Inference.Tools;

/// <summary>Where an answer stands towards a section of reasoning when it begins.</summary>
internal enum ReasoningStart
{
    /// <summary>It has none: the format has no sections, or the prompt has closed one.</summary>
    None,

    /// <summary>It may begin with one.</summary>
    Possible,

    /// <summary>It begins inside: the prompt has opened one.</summary>
    Inside,

    /// <summary>It is written in channels: the prompt has begun a message's header.</summary>
    Channels,
}

/// <summary>How a model writes what is for itself.</summary>
internal static class ReasoningFormat
{
    /// <summary>Opens a section.</summary>
    public const string Open = "<think>";

    /// <summary>Closes it.</summary>
    public const string Close = "</think>";

    /// <summary>Opens Granite's answer.</summary>
    public const string OpenResponse = "<response>";

    /// <summary>Closes it.</summary>
    public const string CloseResponse = "</response>";

    /// <summary>Blanks that may stand beside a tag where a grammar keeps the text.</summary>
    private const int MostBlanks = 8;

    /// <summary>The format to read.</summary>
    /// <param name="asked">What the configuration says.</param>
    /// <param name="calls">The format of calls, decided.</param>
    /// <param name="template">The chat template's source, or null.</param>
    /// <exception cref="UserInputException">The two formats do not go together.</exception>
    public static ReasoningParser Decide(ReasoningParser asked, ToolCallParser calls, string? template)
    {
        var channels = calls == ToolCallParser.Harmony;
        if (channels && asked is ReasoningParser.Think or ReasoningParser.Granite)
            throw new UserInputException($"serving.reasoningParser: {asked} does not go with toolCallParser Harmony, whose channels tell the whole answer apart: use Auto, Harmony or None");
        if (!channels && calls != ToolCallParser.None && asked == ReasoningParser.Harmony)
            throw new UserInputException($"serving.reasoningParser: Harmony does not go with toolCallParser {calls}: use toolCallParser Harmony or None");
        if (asked != ReasoningParser.Auto)
            return asked;
        if (channels)
            return ReasoningParser.Harmony;
        // Templates of models that reason take the sections out of earlier turns, or tell the model to write them.
        return template?.Contains(Close, StringComparison.Ordinal) != true ? ReasoningParser.None
            : template.Contains(OpenResponse, StringComparison.Ordinal) ? ReasoningParser.Granite
            : ReasoningParser.Think;
    }

    /// <summary>How an answer to a prompt begins.</summary>
    /// <param name="calls">The format of calls, decided.</param>
    /// <param name="reasoning">The format of reasoning, decided.</param>
    /// <param name="prompt">The whole prompt.</param>
    public static ReasoningStart Start(ToolCallParser calls, ReasoningParser reasoning, string prompt)
    {
        var end = prompt.AsSpan().TrimEnd();
        if (AnswerFormat.HasChannels(calls, reasoning))
            return end.EndsWith(HarmonyReader.Message, StringComparison.Ordinal) ? ReasoningStart.None : ReasoningStart.Channels;
        return reasoning is not (ReasoningParser.Think or ReasoningParser.Granite) ? ReasoningStart.None
            : end.EndsWith(Open, StringComparison.Ordinal) ? ReasoningStart.Inside
            : end.EndsWith(Close, StringComparison.Ordinal) ? ReasoningStart.None
            : ReasoningStart.Possible;
    }

    /// <summary>The grammar of a whole answer whose content has one: reasoning in a section is free.</summary>
    /// <param name="content">The content's.</param>
    /// <param name="reasoning">The format of reasoning, decided.</param>
    /// <param name="start">How the answer begins.</param>
    public static GrammarNode Around(GrammarNode content, ReasoningParser reasoning, ReasoningStart start)
    {
        var blanks = new RepeatNode(ByteSetNode.Of(" \n\r\t"), 0, MostBlanks);
        if (reasoning == ReasoningParser.Granite)
            content = new ChoiceNode(content, new SequenceNode(MarkerGrammar.Marker(OpenResponse), blanks, content, blanks, MarkerGrammar.Marker(CloseResponse)));
        if (start is not (ReasoningStart.Inside or ReasoningStart.Possible))
            return content;
        var inside = new SequenceNode(MarkerGrammar.Until(Close), blanks, content);
        return start == ReasoningStart.Inside ? inside : new ChoiceNode(content, new SequenceNode(blanks, MarkerGrammar.Marker(Open), inside));
    }
}
