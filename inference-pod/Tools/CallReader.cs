using System.Text;

namespace Moebius.Inference.Tools;

/// <summary>
/// Takes the calls out of a text. What may become a call is held back until it is one or is none; what is none is
/// content, to the letter. Only white space beside a call is dropped.
/// </summary>
internal sealed class CallReader(ICallSyntax syntax) : FeedReader
{
    /// <summary>White space that is content unless a call follows.</summary>
    private readonly StringBuilder _blanks = new();

    private bool _afterCall;

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

            _blanks.Clear();
            _afterCall = true;
        }

        if (_blanks.Length > 0 && !_afterCall)
            Say(new ContentPart(_blanks.ToString()));
        return true;
    }

    private void Content(ReadOnlySpan<char> text)
    {
        var solid = text.TrimEnd();
        if (solid.Length > 0)
        {
            var said = _afterCall ? solid.TrimStart().ToString() : string.Concat(_blanks.ToString(), solid);
            Say(new ContentPart(said));
            _blanks.Clear();
            _afterCall = false;
        }

        _blanks.Append(text[solid.Length..]);
    }
}
