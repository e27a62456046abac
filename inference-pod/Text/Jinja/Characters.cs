using System.Text;

namespace Moebius.Inference.Text.Jinja;

/// <summary>A text as templates count it: in code points, whatever they take. Made for a look at a long text, of which no list is made.</summary>
internal readonly struct Characters
{
    private readonly string _text;

    // Null where each character is one.
    private readonly Rune[]? _runes;

    public Characters(string text)
    {
        _text = text;
        _runes = text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF') ? [.. text.EnumerateRunes()] : null;
    }

    /// <summary>How many there are.</summary>
    public int Count => _runes?.Length ?? _text.Length;

    /// <summary>The characters from a place on, before another one in the direction of the step.</summary>
    /// <param name="from">The first place, within the text or right beside it.</param>
    /// <param name="to">The place before which it ends, likewise.</param>
    /// <param name="step">From one to the next; not 0.</param>
    public string Slice(long from, long to, long step)
    {
        if (step == 1 && _runes is null)
            return from < to ? _text[(int)from..(int)to] : "";
        var result = new StringBuilder();
        for (var i = from; step > 0 ? i < to : i > to; i += step)
            _ = _runes is null ? result.Append(_text[(int)i]) : result.Append(_runes[(int)i]);
        return result.ToString();
    }
}
