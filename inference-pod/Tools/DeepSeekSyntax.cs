namespace Moebius.Inference.Tools;

/// <summary>
/// DeepSeek's blocks of calls: V3 and R1 write <c>function</c>, a separator, the name and a fenced JSON object; V3.1 the
/// name, the separator and the object.
/// </summary>
internal sealed class DeepSeekSyntax : ICallSyntax
{
    private const string Begin = "<｜tool▁calls▁begin｜>";
    private const string End = "<｜tool▁calls▁end｜>";
    private const string CallBegin = "<｜tool▁call▁begin｜>";
    private const string CallEnd = "<｜tool▁call▁end｜>";
    private const string Separator = "<｜tool▁sep｜>";
    private const string Fence = "```";

    public Markers Openers { get; } = new(Begin);

    public IReadOnlyList<string> Tokens { get; } = [Begin, End, CallBegin, CallEnd, Separator];

    public async Reading<bool> ReadAsync(TextFeed feed, CallWriter calls)
    {
        var before = calls.Begun;
        while (await feed.SkipSpaceAsync() && await feed.TakeAsync(CallBegin))
        {
            if (!await CallAsync(feed, calls))
                return true;
            // The call stands, whatever follows.
            feed.SetMark();
        }

        if (calls.Begun > before && await feed.TakeAsync(End, orBeginning: true))
            feed.ForgetMark();
        return true;
    }

    /// <returns>True: another one may follow.</returns>
    private static async Reading<bool> CallAsync(TextFeed feed, CallWriter calls)
    {
        if (await feed.ReadUntilAsync(Separator, AnswerFormat.LongestHeader) is not { } header || !await feed.SkipSpaceAsync())
            return false;
        var name = header.Trim();
        var fenced = name == "function" && feed.Ready[0] != '{';
        if (fenced)
        {
            if (await feed.ReadUntilAsync(Fence, AnswerFormat.LongestHeader) is not { } line)
                return false;
            name = line.Trim();
            await feed.TakeAsync("json");
            await feed.SkipSpaceAsync();
        }

        if (name.Length == 0 || feed.Ready.IsEmpty || feed.Ready[0] != '{' || !await JsonCalls.ArgumentsAsync(feed, calls, name))
            return false;
        feed.SetMark();
        await feed.SkipSpaceAsync();
        if (fenced)
        {
            if (!await feed.TakeAsync(Fence, orBeginning: true))
                return false;
            await feed.SkipSpaceAsync();
        }

        return await feed.TakeAsync(CallEnd, orBeginning: true);
    }
}
