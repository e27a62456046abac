using System.Text;

namespace Moebius.Inference.Tools;

/// <summary>
/// Takes the calls out of a text. What may become a call is held back until it is one, complete, or is none; what is
/// none is content, to the letter. Only white space beside a call is dropped.
/// </summary>
internal sealed class CallReader(ICallSyntax syntax) : IAnswerReader
{
    /// <summary>White space that is content unless a call follows.</summary>
    private readonly StringBuilder blanks = new();

    private string held = "";
    private bool afterCall;

    public IReadOnlyList<AnswerPart> Append(string text)
    {
        held += text;
        return Drain(ended: false);
    }

    public IReadOnlyList<AnswerPart> Finish()
    {
        var parts = Drain(ended: true);
        if (blanks.Length > 0 && !afterCall)
            parts.Add(new ContentPart(blanks.ToString()));
        blanks.Clear();
        return parts;
    }

    private List<AnswerPart> Drain(bool ended)
    {
        var parts = new List<AnswerPart>();
        var content = new StringBuilder();
        while (held.Length > 0)
        {
            var at = syntax.Openers.Select(opener => held.IndexOf(opener, StringComparison.Ordinal)).Where(index => index >= 0).DefaultIfEmpty(-1).Min();
            if (at != 0)
            {
                var certain = at > 0 ? at : ended ? held.Length : held.Length - syntax.Openers.Max(opener => Overlap(held, opener));
                AddContent(content, held.AsSpan(0, certain));
                held = held[certain..];
                if (at < 0)
                    break;
                continue;
            }

            var reading = syntax.Read(held, ended);
            if (reading.Length == 0)
                break;
            if (reading.Calls.Count == 0)
            {
                AddContent(content, held.AsSpan(0, reading.Length));
            }
            else
            {
                Flush();
                parts.AddRange(reading.Calls);
                blanks.Clear();
                afterCall = true;
            }

            held = held[reading.Length..];
        }

        Flush();
        return parts;

        void Flush()
        {
            if (content.Length > 0)
                parts.Add(new ContentPart(content.ToString()));
            content.Clear();
        }
    }

    private void AddContent(StringBuilder content, ReadOnlySpan<char> text)
    {
        var solid = text.TrimEnd();
        if (solid.Length > 0)
        {
            if (afterCall)
                content.Append(solid.TrimStart());
            else
                content.Append(blanks).Append(solid);
            blanks.Clear();
            afterCall = false;
        }

        blanks.Append(text[text.TrimEnd().Length..]);
    }

    /// <summary>Length of the longest end of a text that begins another.</summary>
    internal static int Overlap(string text, string other)
    {
        for (var length = Math.Min(text.Length, other.Length - 1); length > 0; length--)
        {
            if (text.AsSpan(text.Length - length).SequenceEqual(other.AsSpan(0, length)))
                return length;
        }

        return 0;
    }
}
