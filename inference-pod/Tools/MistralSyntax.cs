using System.Buffers;

namespace Moebius.Inference.Tools;

/// <summary>
/// <c>[TOOL_CALLS][{"name": .., "arguments": ..}, ..]</c>: Mixtral and Mistral; newer ones write
/// <c>[TOOL_CALLS]name[ARGS]{..}</c>, some with <c>[CALL_ID]id</c> before <c>[ARGS]</c>.
/// </summary>
internal sealed class MistralSyntax : ICallSyntax
{
    private const string Open = "[TOOL_CALLS]";
    private const string Id = "[CALL_ID]";
    private const string Args = "[ARGS]";

    private static readonly SearchValues<char> LineBreak = SearchValues.Create("\n");

    public Markers Openers { get; } = new(Open);

    public IReadOnlyList<string> Tokens { get; } = [Open, Id, Args];

    public async Reading<bool> ReadAsync(TextFeed feed, CallWriter calls)
    {
        if (!await feed.SkipSpaceAsync())
            return true;
        if (feed.Ready[0] is '[' or '{')
            return await JsonCalls.ReadAsync(feed, calls);
        if (await feed.ReadUntilAsync("{", AnswerFormat.LongestHeader, LineBreak) is not { } header)
            return true;
        feed.Advance(-1);
        foreach (var marker in (string[])[Args, Id])
            header = header.IndexOf(marker, StringComparison.Ordinal) is >= 0 and var at ? header[..at] : header;
        if (header.Trim() is { Length: > 0 } name)
            await JsonCalls.ArgumentsAsync(feed, calls, name);
        return true;
    }
}
