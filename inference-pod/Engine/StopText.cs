using System.Text;

namespace Moebius.Inference.Engine;

/// <summary>
/// Finds stop texts in output that arrives in pieces. Text that may be the beginning of a stop text is held back until
/// that is decided, so a stop text never shows, however tokens cut it.
/// </summary>
internal sealed class StopText(IReadOnlyList<string> stops)
{
    private readonly StringBuilder _held = new();

    /// <summary>Takes new text and answers what is certain to be output, and whether a stop text ended it.</summary>
    public (string Text, bool Stopped) Append(string text)
    {
        if (stops.Count == 0)
            return (text, false);
        _held.Append(text);
        var all = _held.ToString();
        var first = stops.Select(stop => all.IndexOf(stop, StringComparison.Ordinal)).Where(index => index >= 0).DefaultIfEmpty(-1).Min();
        if (first >= 0)
        {
            _held.Clear();
            return (all[..first], true);
        }

        var keep = stops.Max(stop => Overlap(all, stop));
        _held.Clear();
        _held.Append(all, all.Length - keep, keep);
        return (all[..^keep], false);
    }

    /// <summary>What is still held when the output ends for another reason.</summary>
    public string Finish()
    {
        var rest = _held.ToString();
        _held.Clear();
        return rest;
    }

    // The longest end of the text that begins the stop text.
    private static int Overlap(string text, string stop)
    {
        for (var length = Math.Min(text.Length, stop.Length - 1); length > 0; length--)
        {
            if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length)))
                return length;
        }

        return 0;
    }
}
