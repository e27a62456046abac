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
        // A model that ends its turn at once has still called.
        feed.SetMark();
        await feed.SkipSpaceAsync();
        if (await feed.TakeAsync(Close, orBeginning: true))
            feed.ForgetMark();
        return true;
    }
}
