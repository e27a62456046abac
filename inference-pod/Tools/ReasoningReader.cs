using System.Text;

namespace Moebius.Inference.Tools;

/// <summary>
/// Takes the section of reasoning that an answer begins with off it. White space around the section and at its edges is
/// dropped; a tag anywhere else is as good as any text.
/// </summary>
/// <param name="inside">The prompt has opened the section.</param>
/// <param name="rest">Reads what follows.</param>
internal sealed class ReasoningReader(bool inside, IAnswerReader rest) : FeedReader
{
    private static readonly Markers s_close = new(ReasoningFormat.Close);

    /// <summary>White space that is reasoning if more follows.</summary>
    private readonly StringBuilder blanks = new();

    private bool begun;

    protected override async Reading<bool> ReadAsync()
    {
        Feed.SetMark();
        if (!inside)
            await Feed.SkipSpaceAsync();
        if (inside || await Feed.TakeAsync(ReasoningFormat.Open))
        {
            Feed.ForgetMark();
            await Feed.CopyUntilAsync(s_close, Reasoning);
            await Feed.SkipSpaceAsync();
        }
        else
        {
            Feed.Rewind();
        }

        await Feed.CopyRestAsync(text => SayAll(rest.Append(text.ToString())));
        SayAll(rest.Finish());
        return true;
    }

    private void SayAll(IReadOnlyList<AnswerPart> parts)
    {
        foreach (var part in parts)
            Say(part);
    }

    private void Reasoning(ReadOnlySpan<char> text)
    {
        if (!begun)
            text = text.TrimStart();
        var solid = text.TrimEnd();
        if (solid.Length > 0)
        {
            Say(new ReasoningPart(string.Concat(blanks.ToString(), solid)));
            blanks.Clear();
            begun = true;
        }

        blanks.Append(text[solid.Length..]);
    }
}
