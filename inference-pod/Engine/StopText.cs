using System.Text;

namespace Moebius.Inference.Engine;

/// <summary>
/// Finds stop texts in output that arrives in pieces. Text that may be the beginning of a stop text is held back until
/// that is decided, so a stop text never shows, however tokens cut it. The first one that is whole ends the output; of
/// several that become whole with one character, the longest.
/// </summary>
internal sealed class StopText
{
    private readonly IReadOnlyList<string> _stops;
    private readonly StringBuilder _held = new();

    /// <summary>For each place in each stop text, how much of its beginning is also what stands before the place.</summary>
    private readonly int[][] _borders;

    /// <summary>How much of each stop text the end of the output is.</summary>
    private readonly int[] _matched;

    /// <param name="stops">The texts, none empty.</param>
    public StopText(IReadOnlyList<string> stops)
    {
        _stops = stops;
        _borders = [.. stops.Select(Borders)];
        _matched = new int[stops.Count];
    }

    /// <summary>Takes new text and answers what is certain to be output, and whether a stop text ended it.</summary>
    public (string Text, bool Stopped) Append(string text)
    {
        if (_stops.Count == 0)
            return (text, false);
        foreach (var character in text)
        {
            _held.Append(character);
            var longest = 0;
            for (var i = 0; i < _stops.Count; i++)
            {
                _matched[i] = Next(_stops[i], _borders[i], _matched[i], character);
                if (_matched[i] == _stops[i].Length)
                    longest = Math.Max(longest, _stops[i].Length);
            }

            if (longest == 0)
                continue;
            _held.Length -= longest;
            return (Finish(), true);
        }

        var ready = _held.Length - _matched.Max();
        var said = _held.ToString(0, ready);
        _held.Remove(0, ready);
        return (said, false);
    }

    /// <summary>What is still held when the output ends for another reason.</summary>
    public string Finish()
    {
        var rest = _held.ToString();
        _held.Clear();
        return rest;
    }

    private static int Next(string stop, ReadOnlySpan<int> borders, int matched, char character)
    {
        while (matched > 0 && stop[matched] != character)
            matched = borders[matched - 1];
        return stop[matched] == character ? matched + 1 : 0;
    }

    private static int[] Borders(string stop)
    {
        var borders = new int[stop.Length];
        for (var i = 1; i < stop.Length; i++)
            borders[i] = Next(stop, borders, borders[i - 1], stop[i]);
        return borders;
    }
}
