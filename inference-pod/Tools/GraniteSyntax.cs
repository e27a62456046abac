namespace Moebius.Inference.Tools;

/// <summary><c>&lt;|tool_call|&gt;[{"name": .., "arguments": ..}, ..]</c>: Granite 3.</summary>
internal sealed class GraniteSyntax : ICallSyntax
{
    private static readonly string[] Open = ["<|tool_call|>", "<tool_call>"];

    public Markers Openers { get; } = new(Open);

    public IReadOnlyList<string> Tokens => Open;

    public async Reading<bool> ReadAsync(TextFeed feed, CallWriter calls)
    {
        if (await feed.SkipSpaceAsync() && feed.Ready[0] is '[' or '{')
            await JsonCalls.ReadAsync(feed, calls);
        return true;
    }
}
