namespace Moebius.Inference.Tools;

/// <summary>A reader that is written as one method over a <see cref="TextFeed"/>.</summary>
internal abstract class FeedReader : IAnswerReader
{
    private List<AnswerPart> _parts = [];
    private Reading<bool>? _reading;

    /// <summary>The answer's text.</summary>
    protected TextFeed Feed { get; } = new();

    public IReadOnlyList<AnswerPart> Append(string text)
    {
        _reading ??= ReadAsync();
        Feed.Append(text);
        return Taken();
    }

    public IReadOnlyList<AnswerPart> Finish()
    {
        _reading ??= ReadAsync();
        Feed.End();
        return Taken();
    }

    /// <summary>Reads the whole answer, and says its parts.</summary>
    /// <returns>True.</returns>
    protected abstract Reading<bool> ReadAsync();

    protected void Say(AnswerPart part) => _parts.Add(part);

    private List<AnswerPart> Taken()
    {
        // An exception of the reader is one of whoever gave it the text.
        if (_reading is { IsCompleted: true })
            _reading.GetResult();
        var taken = _parts;
        _parts = [];
        return taken;
    }
}

/// <summary>Says the calls of an answer.</summary>
internal sealed class CallWriter(Action<AnswerPart> say)
{
    private bool _open;

    /// <summary>Calls that have begun.</summary>
    public int Begun { get; private set; }

    public void Begin(string name)
    {
        Begun++;
        _open = true;
        say(new CallBegin(name));
    }

    public void Arguments(ReadOnlySpan<char> text)
    {
        if (!text.IsEmpty)
            say(new CallArguments(text.ToString()));
    }

    /// <summary>A call whose arguments are known.</summary>
    public void Whole(string name, string arguments)
    {
        Begin(name);
        Arguments(arguments);
        End(true);
    }

    /// <summary>Ends the call that has begun, if one has.</summary>
    public void End(bool whole)
    {
        if (!_open)
            return;
        _open = false;
        say(new CallEnd(whole));
    }
}
