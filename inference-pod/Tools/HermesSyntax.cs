namespace Moebius.Inference.Tools;

/// <summary><c>&lt;tool_call&gt;{"name": .., "arguments": ..}&lt;/tool_call&gt;</c>: Hermes, Qwen2.5, Qwen3.</summary>
internal sealed class HermesSyntax : ICallSyntax
{
    private const string Open = "<tool_call>";
    private const string Close = "</tool_call>";

    public Markers Openers { get; } = new(Open);

    public IReadOnlyList<string> Tokens { get; } = [Open, Close];

    public async Reading<bool> ReadAsync(TextFeed feed, CallWriter calls)
    {
        if (!await feed.SkipSpaceAsync() || feed.Ready[0] != '{' || !await JsonCalls.ReadAsync(feed, calls))
            return true;
        await feed.CloseAsync(Close);
        return true;
    }
}
