namespace Moebius.Inference.Tools;

/// <summary>
/// gpt-oss' answers (the harmony format): messages with a header that names a channel and perhaps a recipient. What
/// <c>analysis</c> holds is reasoning, what is for <c>functions.NAME</c> is a call, all else is content. A text without
/// any header is content as it is.
/// </summary>
/// <param name="withCalls">Otherwise calls are content.</param>
/// <param name="withReasoning">Otherwise reasoning is content.</param>
/// <param name="isKept">A grammar keeps the message behind the reasoning: it is the last one, whatever stands in it.</param>
internal sealed class HarmonyReader(bool withCalls, bool withReasoning, bool isKept = false) : FeedReader
{
    public const string Start = "<|start|>";
    public const string Channel = "<|channel|>";
    public const string Constrain = "<|constrain|>";
    public const string Message = "<|message|>";
    public const string End = "<|end|>";
    public const string Call = "<|call|>";
    public const string Return = "<|return|>";
    public const string Recipient = "to=";
    public const string Functions = "functions.";

    /// <summary>The channel of reasoning.</summary>
    public const string Analysis = "analysis";

    private static readonly Markers BodyEnds = new(End, Call, Return, Start, Channel);
    private static readonly Markers HeaderBegins = new(Start, Channel);
    private static readonly char[] WordEnds = [' ', '\n', '<'];

    /// <summary>A message has ended: white space means nothing until the next one begins.</summary>
    private bool _between;

    /// <summary>Texts of the tokens that the format is made of.</summary>
    public static IReadOnlyList<string> Tokens { get; } = [Start, Channel, Constrain, Message, End, Call, Return];

    protected override async Reading<bool> ReadAsync()
    {
        var calls = new CallWriter(Say);
        // The prompt has opened a header: " to=functions.x" may stand before the first marker.
        Feed.SetMark();
        await Feed.SkipSpaceAsync();
        var recipient = await Feed.IsNextAsync(Recipient);
        Feed.Rewind();
        var opener = recipient ? "" : await Feed.CopyUntilAsync(HeaderBegins, Content);
        while (opener is not null)
        {
            Feed.SetMark();
            if (await Feed.ReadUntilAsync(Message, AnswerFormat.LongestHeader) is not { } header)
            {
                // Without a message it says nothing that could be told apart.
                Feed.Rewind();
                Content(opener);
                opener = await Feed.CopyUntilAsync(HeaderBegins, Content);
                continue;
            }

            Feed.ForgetMark();
            opener = await BodyAsync(opener + header, calls);
            _between = true;
            if (opener is not (null or Start or Channel))
                opener = await Feed.CopyUntilAsync(HeaderBegins, Content);
        }

        return true;
    }

    /// <returns>The marker behind the message; null: the answer has ended.</returns>
    private async Reading<string?> BodyAsync(string header, CallWriter calls)
    {
        _between = false;
        var recipient = Word(header, Recipient);
        if (withCalls && recipient.StartsWith(Functions, StringComparison.Ordinal) && recipient.Length > Functions.Length)
        {
            var body = new CallBody(recipient[Functions.Length..], calls, header + Message, Content);
            var end = await TextAsync(body.Add);
            body.End();
            return end;
        }

        return withReasoning && Word(header, Channel) == Analysis ? await Feed.CopyUntilAsync(BodyEnds, Reasoning) : await TextAsync(Content);
    }

    /// <summary>Reads a message that is no reasoning.</summary>
    private async Reading<string?> TextAsync(PieceReader take)
    {
        if (!isKept)
            return await Feed.CopyUntilAsync(BodyEnds, take);
        await Feed.CopyRestAsync(take);
        return null;
    }

    /// <summary>Whether a tool may be called by a name.</summary>
    public static bool IsName(string name) => name.Length > 0 && !name.AsSpan().ContainsAny(WordEnds);

    /// <summary>The word behind a text, or nothing.</summary>
    private static string Word(string header, string text) =>
        header.IndexOf(text, StringComparison.Ordinal) is >= 0 and var at ? header[(at + text.Length)..].TrimStart().Split(WordEnds, 2)[0] : "";

    private void Reasoning(ReadOnlySpan<char> text) => Say(new ReasoningPart(text.ToString()));

    private void Content(ReadOnlySpan<char> text)
    {
        if (_between)
            text = text.TrimStart();
        if (text.IsEmpty)
            return;
        _between = false;
        Say(new ContentPart(text.ToString()));
    }

    /// <summary>A message that is a call: its text is the arguments, or else content with all that belongs to the message.</summary>
    private sealed class CallBody(string name, CallWriter calls, string header, PieceReader content)
    {
        private JsonScanner _scanner;
        private Place _place;

        private enum Place
        {
            Before,
            Inside,
            Behind,
            Content,
        }

        public void Add(ReadOnlySpan<char> text)
        {
            if (_place is Place.Before or Place.Behind)
                text = text.TrimStart();
            if (text.IsEmpty)
                return;
            if (_place == Place.Before && text[0] == '{')
            {
                _place = Place.Inside;
                calls.Begin(name);
            }
            else if (_place == Place.Before)
            {
                content(header);
            }

            if (_place == Place.Inside)
            {
                var step = _scanner.Push(text, out var length);
                calls.Arguments(text[..length]);
                text = text[length..];
                if (step == JsonStep.More)
                    return;
                calls.End(step == JsonStep.Last);
                _place = Place.Behind;
                text = text.TrimStart();
            }

            content(text);
            _place = text.IsEmpty ? _place : Place.Content;
        }

        public void End()
        {
            if (_place == Place.Before)
                calls.Whole(name, "{}");
            else
                calls.End(false);
        }
    }
}
