namespace Moebius.KvCache.Detection;

/// <summary>
/// Builds a rewriting of a view out of what was rewritten and its surroundings. Text far from any change is left out:
/// it has been read already.
/// </summary>
internal sealed class RewrittenText(ScanView view)
{
    // As far as a word announces the number behind it.
    private const int Surroundings = 96;

    private readonly List<char> _text = [];
    private readonly List<(int First, int Last)> _positions = [];
    private int _next;

    /// <summary>Adds what lies before a change, and goes on behind it.</summary>
    public void MoveTo(int changeStart, int changeEnd)
    {
        CopyBetween(changeStart, _next == 0 && _text.Count == 0);
        _next = changeEnd;
    }

    /// <summary>Adds one character that stands for the one at this position.</summary>
    public void Add(char character, int position) => Add(character, position, position);

    /// <summary>Adds one character that stands for those from first to last.</summary>
    public void Add(char character, int first, int last)
    {
        _text.Add(character);
        _positions.Add((first, last));
    }

    public ScanView ToView()
    {
        var end = Math.Min(view.Length, _next + Surroundings);
        for (; _next < end; _next++)
            Add(view.Text[_next], _next);
        return ScanView.Rewrite(view, _text, _positions);
    }

    private void CopyBetween(int to, bool first)
    {
        if (to - _next > 2 * Surroundings || (first && to - _next > Surroundings))
        {
            var end = first ? _next : _next + Surroundings;
            for (; _next < end; _next++)
                Add(view.Text[_next], _next);
            Add('\n', Math.Min(_next, to - 1));
            Add('\n', Math.Min(_next, to - 1));
            _next = to - Surroundings;
        }

        for (; _next < to; _next++)
            Add(view.Text[_next], _next);
    }
}
