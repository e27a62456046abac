using System.Buffers;
using System.Runtime.CompilerServices;

namespace Moebius.Inference.Tools;

/// <summary>
/// Text that arrives in pieces, for a reader that is written as if all of it were there: an asynchronous method that
/// awaits <see cref="Arrival"/> where the text runs out is resumed by <see cref="Append"/>, on the caller's thread.
/// What was read is forgotten, unless a mark says that it may be read again. Not thread-safe; one method reads.
/// </summary>
internal sealed class TextFeed
{
    private char[] _buffer = new char[256];
    private int _position;
    private int _end;
    private int _mark = -1;
    private Action? _waiting;

    /// <summary>No text follows what has arrived.</summary>
    public bool Ended { get; private set; }

    /// <summary>What has arrived and was not read.</summary>
    public ReadOnlySpan<char> Ready => _buffer.AsSpan(_position, _end - _position);

    /// <summary>Awaited: until more text is ready than was, or the text has ended.</summary>
    public Waiter Arrival => new(this);

    /// <summary>Takes more text and lets the reader go on with it.</summary>
    public void Append(ReadOnlySpan<char> text)
    {
        if (text.IsEmpty)
            return;
        MakeRoom(text.Length);
        text.CopyTo(_buffer.AsSpan(_end));
        _end += text.Length;
        Resume();
    }

    /// <summary>The text has ended: lets the reader go on to its end.</summary>
    public void End()
    {
        Ended = true;
        Resume();
    }

    /// <summary>So many characters were read.</summary>
    public void Advance(int count) => _position += count;

    /// <summary>Whether there is a character to read; waits for one.</summary>
    public async Reading<bool> MoreAsync()
    {
        while (Ready.IsEmpty && !Ended)
            await Arrival;
        return !Ready.IsEmpty;
    }

    /// <summary>Keeps what follows, so that it can be read again.</summary>
    public void SetMark() => _mark = _position;

    /// <summary>What was read need not be kept.</summary>
    public void ForgetMark() => _mark = -1;

    /// <summary>Goes back to the mark, and forgets it.</summary>
    public void Rewind()
    {
        if (_mark >= 0)
            _position = _mark;
        _mark = -1;
    }

    /// <summary>Reads white space.</summary>
    /// <returns>Whether a character follows.</returns>
    public async Reading<bool> SkipSpaceAsync()
    {
        while (await MoreAsync())
        {
            var blanks = Ready.Length - Ready.TrimStart().Length;
            Advance(blanks);
            if (!Ready.IsEmpty)
                return true;
        }

        return false;
    }

    /// <summary>Whether a text is the next one; waits while it may be.</summary>
    /// <param name="text">The text.</param>
    public async Reading<bool> IsNextAsync(string text)
    {
        while (!Ended && Ready.Length < text.Length && text.AsSpan().StartsWith(Ready, StringComparison.Ordinal))
            await Arrival;
        return Ready.StartsWith(text, StringComparison.Ordinal);
    }

    /// <summary>Reads a text if it is the next one; waits while it may be.</summary>
    /// <param name="text">The text.</param>
    /// <param name="orBeginning">A part of it is enough where the text ends, at least one character: it is read too.</param>
    public async Reading<bool> TakeAsync(string text, bool orBeginning = false)
    {
        var whole = await IsNextAsync(text);
        var part = orBeginning && Ended && !Ready.IsEmpty && text.AsSpan().StartsWith(Ready, StringComparison.Ordinal);
        Advance(whole ? text.Length : part ? Ready.Length : 0);
        return whole || part;
    }

    /// <summary>
    /// Reads the text that closes a call, and white space before it. A model that ends its turn at once has still called:
    /// what stands there in its place is behind a mark.
    /// </summary>
    /// <param name="text">The text; a part of it is enough where all text ends.</param>
    /// <returns>Whether it was there.</returns>
    public async Reading<bool> CloseAsync(string text)
    {
        SetMark();
        await SkipSpaceAsync();
        var closed = await TakeAsync(text, orBeginning: true);
        if (closed)
            ForgetMark();
        return closed;
    }

    /// <summary>Reads up to one of some texts, and past it.</summary>
    /// <param name="markers">The texts.</param>
    /// <param name="take">Gets what stands before, in pieces, as soon as it is certain.</param>
    /// <returns>The text that was found; null: the whole rest has none.</returns>
    public async Reading<string?> CopyUntilAsync(Markers markers, PieceReader take)
    {
        while (true)
        {
            var at = Ready.IndexOfAny(markers.Search);
            var certain = at >= 0 ? at : Ended ? Ready.Length : Ready.Length - markers.Overlap(Ready);
            if (certain > 0)
                take(Ready[..certain]);
            Advance(certain);
            if (at >= 0)
            {
                var found = markers.At(Ready);
                Advance(found.Length);
                return found;
            }

            if (Ended)
                return null;
            await Arrival;
        }
    }

    /// <summary>Reads all that follows.</summary>
    /// <param name="take">Gets it, in pieces.</param>
    /// <returns>True.</returns>
    public async Reading<bool> CopyRestAsync(PieceReader take)
    {
        while (await MoreAsync())
        {
            take(Ready);
            Advance(Ready.Length);
        }

        return true;
    }

    /// <summary>Reads up to a text, and past it.</summary>
    /// <param name="marker">The text.</param>
    /// <param name="most">Characters that may stand before it.</param>
    /// <param name="forbidden">Characters that may not stand before it.</param>
    /// <returns>What stands before it; null: it is not there within the limit, and some text was read.</returns>
    public async Reading<string?> ReadUntilAsync(string marker, int most, SearchValues<char>? forbidden = null)
    {
        var searched = 0;
        while (true)
        {
            var at = Ready[searched..].IndexOf(marker, StringComparison.Ordinal);
            if (at >= 0)
            {
                var text = Ready[..(searched + at)];
                if (text.Length > most || (forbidden is not null && text.ContainsAny(forbidden)))
                    return null;
                var result = text.ToString();
                Advance(result.Length + marker.Length);
                return result;
            }

            var certain = Math.Max(searched, Ready.Length - marker.Length + 1);
            if (Ended || certain > most || (forbidden is not null && Ready[searched..certain].ContainsAny(forbidden)))
                return null;
            searched = certain;
            await Arrival;
        }
    }

    private void MakeRoom(int more)
    {
        var keep = _mark >= 0 ? _mark : _position;
        if (_end + more > _buffer.Length && keep > 0)
        {
            _buffer.AsSpan(keep, _end - keep).CopyTo(_buffer);
            (_position, _end, _mark) = (_position - keep, _end - keep, _mark >= 0 ? 0 : -1);
        }

        if (_end + more > _buffer.Length)
            Array.Resize(ref _buffer, Math.Max(_end + more, 2 * _buffer.Length));
    }

    private void Resume() => Interlocked.Exchange(ref _waiting, null)?.Invoke();

    /// <summary>What a reader awaits.</summary>
    internal readonly struct Waiter(TextFeed feed) : INotifyCompletion
    {
        public bool IsCompleted => feed.Ended;

        public Waiter GetAwaiter() => this;

        public void OnCompleted(Action continuation) => feed._waiting = continuation;

        public void GetResult()
        {
        }
    }
}

/// <summary>Takes a piece of a text.</summary>
internal delegate void PieceReader(ReadOnlySpan<char> text);

/// <summary>Texts to look for. None is inside another.</summary>
internal sealed class Markers(params string[] texts)
{
    private readonly int _longest = texts.Max(text => text.Length);

    public SearchValues<string> Search { get; } = SearchValues.Create(texts, StringComparison.Ordinal);

    /// <summary>The one that a text begins with.</summary>
    public string At(ReadOnlySpan<char> text)
    {
        foreach (var marker in texts)
        {
            if (text.StartsWith(marker, StringComparison.Ordinal))
                return marker;
        }

        throw new InvalidOperationException("the text begins with no marker");
    }

    /// <summary>Length of the longest end of a text that begins one of them.</summary>
    public int Overlap(ReadOnlySpan<char> text)
    {
        for (var length = Math.Min(text.Length, _longest - 1); length > 0; length--)
        {
            foreach (var marker in texts)
            {
                if (length < marker.Length && marker.AsSpan().StartsWith(text[^length..], StringComparison.Ordinal))
                    return length;
            }
        }

        return 0;
    }
}
