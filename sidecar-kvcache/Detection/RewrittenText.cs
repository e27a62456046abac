namespace Moebius.KvCache.Detection;

/// <summary>
/// Builds a rewriting of a view out of what was rewritten and its surroundings. Text far from any change is left out:
/// it has been read already.
/// </summary>
internal sealed class RewrittenText(ScanView view)
{
    // As far as a word announces the number behind it.
    private const int Surroundings = 96;

    // A rewriting is hardly ever longer than what it stands for.
    private char[] _text = GC.AllocateUninitializedArray<char>(view.Length + 16);
    private int[] _starts = GC.AllocateUninitializedArray<int>(view.Length + 16);
    private int[] _ends = GC.AllocateUninitializedArray<int>(view.Length + 16);
    private int _length;
    private int _next;

    /// <summary>Adds what lies before a change, and goes on behind it.</summary>
    public void MoveTo(int changeStart, int changeEnd)
    {
        CopyBetween(changeStart, _next == 0 && _length == 0);
        _next = changeEnd;
    }

    /// <summary>Adds one character that stands for the one at this position.</summary>
    public void Add(char character, int position) => Add(character, position, position);

    /// <summary>Adds one character that stands for those from first to last.</summary>
    public void Add(char character, int first, int last)
    {
        Grow(1);
        _text[_length] = character;
        _starts[_length] = view.StartOf(first);
        _ends[_length++] = view.EndOf(last);
    }

    public ScanView ToView()
    {
        Copy(Math.Min(view.Length, _next + Surroundings));
        var written = DigitLetters.Restore(_text, _length);
        return new ScanView(_text, _starts, _ends, _length) { IsRewritten = true, Written = written };
    }

    private void CopyBetween(int to, bool first)
    {
        if (to - _next > 2 * Surroundings || (first && to - _next > Surroundings))
        {
            if (!first)
                Copy(_next + Surroundings);
            Add('\n', Math.Min(_next, to - 1));
            Add('\n', Math.Min(_next, to - 1));
            _next = to - Surroundings;
        }

        Copy(to);
    }

    private void Copy(int to)
    {
        if (to <= _next)
            return;
        Grow(to - _next);
        view.Written.AsSpan(_next, to - _next).CopyTo(_text.AsSpan(_length));
        for (; _next < to; _next++, _length++)
            (_starts[_length], _ends[_length]) = (view.StartOf(_next), view.EndOf(_next));
    }

    private void Grow(int by)
    {
        if (_length + by <= _text.Length)
            return;
        Array.Resize(ref _text, 2 * (_length + by));
        Array.Resize(ref _starts, _text.Length);
        Array.Resize(ref _ends, _text.Length);
    }
}
