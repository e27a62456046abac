using System.Text;

namespace Moebius.Inference.Tools;

/// <summary>
/// gpt-oss' answers (the harmony format): messages with a header that names a channel and perhaps a recipient. What
/// <c>analysis</c> holds is reasoning, what is for <c>functions.NAME</c> is a call, all else is content. A text without
/// any header is content as it is.
/// </summary>
internal sealed class HarmonyReader : IAnswerReader
{
    private const string Start = "<|start|>";
    private const string Channel = "<|channel|>";
    private const string Constrain = "<|constrain|>";
    private const string Message = "<|message|>";
    private const string End = "<|end|>";
    private const string Call = "<|call|>";
    private const string Return = "<|return|>";
    private const string Recipient = "to=";
    private const string Functions = "functions.";

    private static readonly string[] s_bodyEnds = [End, Call, Return, Start, Channel];
    private static readonly string[] s_headerBegins = [Start, Channel];

    private readonly StringBuilder body = new();
    private State state = State.Beginning;
    private string held = "";
    private string header = "";
    private string name = "";
    private bool afterMessage;

    private enum State
    {
        /// <summary>The prompt has opened a header: its rest may follow.</summary>
        Beginning,

        /// <summary>Text outside of messages.</summary>
        Outside,

        /// <summary>From the header's first marker to its last.</summary>
        Header,

        Content,

        Reasoning,

        /// <summary>The arguments of a call.</summary>
        Arguments,
    }

    /// <summary>Texts of the tokens that the format is made of.</summary>
    public static IReadOnlyList<string> Markers { get; } = [Start, Channel, Constrain, Message, End, Call, Return];

    public IReadOnlyList<AnswerPart> Append(string text)
    {
        held += text;
        return Drain(ended: false);
    }

    public IReadOnlyList<AnswerPart> Finish()
    {
        var parts = Drain(ended: true);
        // A header without a message says nothing that could be told apart.
        if (state == State.Header)
            Add(parts, header + held);
        else if (state == State.Arguments)
            EndCall(parts);
        held = "";
        return parts;
    }

    private List<AnswerPart> Drain(bool ended)
    {
        var parts = new List<AnswerPart>();
        while (held.Length > 0 && Advance(parts, ended))
        {
        }

        return parts;
    }

    /// <summary>Takes the next piece off what is held. False where that takes more text.</summary>
    private bool Advance(List<AnswerPart> parts, bool ended)
    {
        switch (state)
        {
            case State.Beginning:
                // " to=functions.x" may stand before the first marker.
                var first = held.TrimStart();
                if (!ended && first.Length < Recipient.Length && Recipient.StartsWith(first, StringComparison.Ordinal))
                    return false;
                state = first.StartsWith(Recipient, StringComparison.Ordinal) ? State.Header : State.Outside;
                return true;
            case State.Outside:
                return Text(parts, ended, s_headerBegins);
            case State.Header:
                var message = held.IndexOf(Message, StringComparison.Ordinal);
                if (message < 0)
                    return false;
                BeginMessage(header + held[..message]);
                held = held[(message + Message.Length)..];
                return true;
            default:
                return Text(parts, ended, s_bodyEnds);
        }
    }

    /// <summary>Takes text up to one of some markers.</summary>
    private bool Text(List<AnswerPart> parts, bool ended, string[] markers)
    {
        var found = markers.Select(marker => (Marker: marker, At: held.IndexOf(marker, StringComparison.Ordinal))).Where(entry => entry.At >= 0).OrderBy(entry => entry.At).FirstOrDefault();
        var length = found.Marker is not null ? found.At : ended ? held.Length : held.Length - markers.Max(marker => CallReader.Overlap(held, marker));
        Add(parts, held[..length]);
        held = held[(length + (found.Marker?.Length ?? 0))..];
        if (found.Marker is null)
            return false;
        if (state == State.Arguments)
            EndCall(parts);
        afterMessage = true;
        var opens = found.Marker is Start or Channel;
        header = opens ? found.Marker : "";
        state = opens ? State.Header : State.Outside;
        return true;
    }

    private void BeginMessage(string header)
    {
        this.header = header + Message;
        var recipient = header.IndexOf(Recipient, StringComparison.Ordinal) is >= 0 and var at ? header[(at + Recipient.Length)..] : "";
        recipient = recipient.Split([' ', '\n', '<'], 2)[0];
        var channel = header.IndexOf(Channel, StringComparison.Ordinal) is >= 0 and var begin ? header[(begin + Channel.Length)..].TrimStart().Split([' ', '\n', '<'], 2)[0] : "";
        body.Clear();
        name = recipient.StartsWith(Functions, StringComparison.Ordinal) ? recipient[Functions.Length..] : "";
        state = name.Length > 0 ? State.Arguments : channel == "analysis" ? State.Reasoning : State.Content;
    }

    private void EndCall(List<AnswerPart> parts)
    {
        var arguments = body.ToString().Trim();
        state = State.Content;
        if (arguments.Length == 0)
            arguments = "{}";
        if (JsonCalls.IsObject(arguments))
            parts.Add(new CallPart(name, arguments));
        else
            Add(parts, header + body);
    }

    private void Add(List<AnswerPart> parts, string text)
    {
        // Between messages, white space means nothing.
        if (state == State.Outside && afterMessage)
            text = text.TrimStart();
        if (text.Length == 0)
            return;
        afterMessage = false;
        if (state == State.Arguments)
            body.Append(text);
        else
            parts.Add(state == State.Reasoning ? new ReasoningPart(text) : new ContentPart(text));
    }
}
