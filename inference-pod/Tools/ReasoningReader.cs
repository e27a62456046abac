using System.Text;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Inference.Tools;

/// <summary>
/// Takes the section of reasoning that an answer begins with off it. White space around the section and at its edges is
/// dropped; a tag anywhere else is as good as any text.
/// </summary>
/// <param name="format">Think, or Granite, which has a section around the answer too: its tags are dropped.</param>
/// <param name="start">How the answer begins.</param>
/// <param name="rest">Reads what follows.</param>
internal sealed class ReasoningReader(ReasoningParser format, ReasoningStart start, IAnswerReader rest) : FeedReader
{
    private static readonly Markers Close = new(ReasoningFormat.Close);
    private static readonly Markers CloseResponse = new(ReasoningFormat.CloseResponse);

    /// <summary>White space that is reasoning if more follows.</summary>
    private readonly StringBuilder _blanks = new();

    private bool _begun;

    protected override async Reading<bool> ReadAsync()
    {
        var inside = start == ReasoningStart.Inside;
        Feed.SetMark();
        if (!inside)
            await Feed.SkipSpaceAsync();
        if (inside || (start == ReasoningStart.Possible && await Feed.TakeAsync(ReasoningFormat.Open)))
        {
            Feed.ForgetMark();
            await Feed.CopyUntilAsync(Close, Reasoning);
            await Feed.SkipSpaceAsync();
            Feed.SetMark();
        }

        if (format == ReasoningParser.Granite && await Feed.TakeAsync(ReasoningFormat.OpenResponse))
        {
            Feed.ForgetMark();
            await Feed.SkipSpaceAsync();
            await Feed.CopyUntilAsync(CloseResponse, Rest);
            await Feed.SkipSpaceAsync();
        }
        else
        {
            Feed.Rewind();
        }

        await Feed.CopyRestAsync(Rest);
        SayAll(rest.Finish());
        return true;
    }

    private void Rest(ReadOnlySpan<char> text) => SayAll(rest.Append(text.ToString()));

    private void SayAll(IReadOnlyList<AnswerPart> parts)
    {
        foreach (var part in parts)
            Say(part);
    }

    private void Reasoning(ReadOnlySpan<char> text)
    {
        if (!_begun)
            text = text.TrimStart();
        var solid = text.TrimEnd();
        if (solid.Length > 0)
        {
            Say(new ReasoningPart(string.Concat(_blanks.ToString(), solid)));
            _blanks.Clear();
            _begun = true;
        }

        _blanks.Append(text[solid.Length..]);
    }
}
