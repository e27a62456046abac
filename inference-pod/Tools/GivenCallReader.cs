namespace Moebius.Inference.Tools;

/// <summary>
/// Reads an answer that its grammar keeps to calls and nothing else: an array of calls, or the arguments of one whose
/// tool is given. What the token limit cuts off before a call has begun is content.
/// </summary>
/// <param name="tool">The tool; null: the answer names them.</param>
internal sealed class GivenCallReader(string? tool) : FeedReader
{
    protected override async Reading<bool> ReadAsync()
    {
        var calls = new CallWriter(Say);
        Feed.SetMark();
        var opener = tool is null ? '[' : '{';
        if (await Feed.SkipSpaceAsync() && Feed.Ready[0] == opener)
        {
            if (tool is null)
                await JsonCalls.ReadAsync(Feed, calls);
            else
                await JsonCalls.ArgumentsAsync(Feed, calls, tool);
        }

        Feed.Rewind();
        await Feed.CopyRestAsync(text =>
        {
            if (!text.Trim(" \n\t[],").IsEmpty)
                Say(new ContentPart(text.ToString()));
        });
        return true;
    }
}
