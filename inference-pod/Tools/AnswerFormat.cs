using System.Text.Json;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Inference.Tools;

/// <summary>Which format a model's calls have, and what reads it.</summary>
internal static class AnswerFormat
{
    /// <summary>Characters that may stand between two markers where a name is expected: more are none.</summary>
    public const int LongestHeader = 256;

    /// <summary>What only templates of one format hold together; the first that is found decides.</summary>
    private static readonly (string[] Texts, ToolCallParser Parser)[] Signs =
    [
        (["<|channel|>"], ToolCallParser.Harmony),
        (["<｜tool▁call▁begin｜>"], ToolCallParser.DeepSeekV3),
        (["[TOOL_CALLS]"], ToolCallParser.Mistral),
        (["<|tool_call|>"], ToolCallParser.Granite),
        (["<tool_call>", "<arg_key>"], ToolCallParser.Glm45),
        (["<tool_call>", "<function="], ToolCallParser.Qwen3Coder),
        (["<tool_call>"], ToolCallParser.Hermes),
    ];

    /// <summary>The format that a model's chat template shows; <see cref="ToolCallParser.None"/> where it shows none.</summary>
    /// <param name="template">Its source, or null.</param>
    public static ToolCallParser Of(string? template) =>
        template is null ? ToolCallParser.None : Signs.Where(sign => Array.TrueForAll(sign.Texts, text => template.Contains(text, StringComparison.Ordinal))).Select(sign => sign.Parser).FirstOrDefault(ToolCallParser.None);

    /// <summary>A reader of one answer, or of what follows its reasoning.</summary>
    /// <param name="calls">The format of calls, not <see cref="ToolCallParser.Auto"/>.</param>
    /// <param name="reasoning">The format of reasoning, not <see cref="ReasoningParser.Auto"/>.</param>
    /// <param name="tools">The request's tools; null: there are none, and calls are text, but for those to a channel.</param>
    public static IAnswerReader Reader(ToolCallParser calls, ReasoningParser reasoning, JsonElement? tools)
    {
        // Channels are how the whole answer is written, with tools or without.
        if (HasChannels(calls, reasoning))
            return new HarmonyReader(calls == ToolCallParser.Harmony, reasoning == ReasoningParser.Harmony);
        return tools is null || Syntax(calls, tools) is not { } syntax ? new PlainReader() : new CallReader(syntax);
    }

    /// <summary>Texts of the tokens that the readers have to see.</summary>
    public static IReadOnlyList<string> Tokens(ToolCallParser calls, ReasoningParser reasoning, bool withTools)
    {
        if (HasChannels(calls, reasoning))
            return HarmonyReader.Tokens;
        IReadOnlyList<string> tags = reasoning switch
        {
            ReasoningParser.Think => [ReasoningFormat.Open, ReasoningFormat.Close],
            ReasoningParser.Granite => [ReasoningFormat.Open, ReasoningFormat.Close, ReasoningFormat.OpenResponse, ReasoningFormat.CloseResponse],
            _ => [],
        };
        return [.. tags, .. withTools ? Syntax(calls, null)?.Tokens ?? [] : []];
    }

    /// <summary>Whether answers are written in channels.</summary>
    /// <param name="calls">The format of calls, decided.</param>
    /// <param name="reasoning">The format of reasoning, decided.</param>
    public static bool HasChannels(ToolCallParser calls, ReasoningParser reasoning) => calls == ToolCallParser.Harmony || reasoning == ReasoningParser.Harmony;

    private static ICallSyntax? Syntax(ToolCallParser parser, JsonElement? tools) => parser switch
    {
        ToolCallParser.Hermes => new HermesSyntax(),
        ToolCallParser.Mistral => new MistralSyntax(),
        ToolCallParser.DeepSeekV3 => new DeepSeekSyntax(),
        ToolCallParser.Granite => new GraniteSyntax(),
        ToolCallParser.Glm45 => new Glm45Syntax(new ToolSchemas(tools)),
        ToolCallParser.Qwen3Coder => new Qwen3CoderSyntax(new ToolSchemas(tools)),
        _ => null,
    };
}
