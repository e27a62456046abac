using System.Text;

namespace Moebius.Inference.Tools;

/// <summary>
/// Takes the calls out of a text. What may become a call is held back until it is one or is none; what is none is
/// content, to the letter. Only white space beside a call is dropped.
/// </summary>
internal sealed class CallReader(ICallSyntax syntax) : FeedReader
{
    /// <summary>White space that is content unless a call follows.</summary>
    private readonly StringBuilder blanks = new();

    private bool afterCall;

    protected override async Reading<bool> ReadAsync()
    {
        var calls = new CallWriter(Say);
        while (await Feed.CopyUntilAsync(syntax.Openers, Content) is { } opener)
        {
            var before = calls.Begun;
            Feed.SetMark();
            await syntax.ReadAsync(Feed, calls);
            Feed.Rewind();
            if (calls.Begun == before)
            {
                Content(opener);
                continue;
            }

            blanks.Clear();
            afterCall = true;
        }

        if (blanks.Length > 0 && !afterCall)
            Say(new ContentPart(blanks.ToString()));
        return true;
    }

    private void Content(ReadOnlySpan<char> text)
    {
        var solid = text.TrimEnd();
        if (solid.Length > 0)
        {
            var said = afterCall ? solid.TrimStart().ToString() : string.Concat(blanks.ToString(), solid);
            Say(new ContentPart(said));
            blanks.Clear();
            afterCall = false;
        }

        blanks.Append(text[solid.Length..]);
    }
}
