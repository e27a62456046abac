using System.Globalization;
using System.Text;

namespace Moebius.Crds.Text;

/// <summary>
/// Unicode's normalization forms. The runtime's own normalization needs ICU and silently leaves text as it is without
/// it (invariant globalization), which would change tokens; so the tables are part of the assembly. They are those of
/// Unicode 9.0, as the tokenizers library has them: with younger ones, a model would read tokens that it has not learned.
/// </summary>
public static class UnicodeNormalization
{
    private const int HangulBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int Leads = 19, Vowels = 21, Trails = 28;

    private static readonly Lazy<CanonicalTables> Canonical = new(LoadCanonical);
    private static readonly Lazy<CompatibilityTables> Compatibility = new(LoadCompatibility);

    /// <summary>The text in a form.</summary>
    /// <param name="text">The text.</param>
    /// <param name="form">C, D, KC or KD.</param>
    public static string Normalize(string text, NormalizationForm form)
    {
        var compatible = form is NormalizationForm.FormKC or NormalizationForm.FormKD;
        var composed = form is NormalizationForm.FormC or NormalizationForm.FormKC;
        // Everything below is already in the form, and starts afresh.
        var first = compatible ? '\u00A0' : composed ? '\u0300' : '\u00C0';
        if (!text.Any(character => character >= first))
            return text;
        var points = new List<(int Point, byte Class)>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (compatible && Compatibility.Value.Decompositions.TryGetValue(rune.Value, out var parts))
            {
                foreach (var part in parts)
                    Decompose(part, points);
            }
            else
            {
                Decompose(rune.Value, points);
            }
        }

        Order(points);
        return composed ? Compose(points) : Text(points.Select(point => point.Point));
    }

    /// <summary>The text without combining marks; letters that hold one stay as they are.</summary>
    public static string StripMarks(string text)
    {
        // There is none below.
        if (!text.Any(character => character >= '\u0300'))
            return text;
        var marks = Compatibility.Value.Marks;
        return Text(text.EnumerateRunes().Select(rune => rune.Value).Where(point => !marks.Contains(point)));
    }

    private static void Decompose(int point, List<(int Point, byte Class)> output)
    {
        if (point is >= HangulBase and < HangulBase + (Leads * Vowels * Trails))
        {
            var index = point - HangulBase;
            output.Add((LeadBase + (index / (Vowels * Trails)), 0));
            output.Add((VowelBase + (index % (Vowels * Trails) / Trails), 0));
            if (index % Trails != 0)
                output.Add((TrailBase + (index % Trails), 0));
        }
        else if (Canonical.Value.Decompositions.TryGetValue(point, out var parts))
        {
            foreach (var part in parts)
                Decompose(part, output);
        }
        else
        {
            output.Add((point, Canonical.Value.Classes.GetValueOrDefault(point)));
        }
    }

    // Runs of combining marks sort by class, stably. A run may be as long as the text.
    private static void Order(List<(int Point, byte Class)> points)
    {
        var sorted = true;
        for (int i = 0, from = 0; i <= points.Count; i++)
        {
            if (i < points.Count && points[i].Class > 0)
            {
                sorted &= i == from || points[i - 1].Class <= points[i].Class;
                continue;
            }

            if (!sorted)
            {
                foreach (var (place, mark) in points.GetRange(from, i - from).OrderBy(mark => mark.Class).Index())
                    points[from + place] = mark;
            }

            (from, sorted) = (i + 1, true);
        }
    }

    private static string Compose(List<(int Point, byte Class)> points)
    {
        var output = new List<int>(points.Count);
        var starter = -1;
        var lastClass = -1;
        foreach (var (point, combining) in points)
        {
            if (starter >= 0 && lastClass < combining && Pair(output[starter], point) is { } composed)
            {
                output[starter] = composed;
                continue;
            }

            if (combining == 0)
            {
                starter = output.Count;
                lastClass = -1;
            }
            else
            {
                lastClass = combining;
            }

            output.Add(point);
        }

        return Text(output);
    }

    private static string Text(IEnumerable<int> points)
    {
        var text = new StringBuilder();
        foreach (var point in points)
            text.Append(new Rune(point).ToString());
        return text.ToString();
    }

    private static int? Pair(int first, int second)
    {
        if (first is >= LeadBase and < LeadBase + Leads && second is >= VowelBase and < VowelBase + Vowels)
            return HangulBase + ((((first - LeadBase) * Vowels) + (second - VowelBase)) * Trails);
        if (first is >= HangulBase and < HangulBase + (Leads * Vowels * Trails) && (first - HangulBase) % Trails == 0 && second is > TrailBase and < TrailBase + Trails)
            return first + (second - TrailBase);
        return Canonical.Value.Compositions.TryGetValue((first, second), out var composed) ? composed : null;
    }

    private static CanonicalTables LoadCanonical()
    {
        var tables = new CanonicalTables([], [], []);
        foreach (var line in Lines("unicode-composition.txt"))
        {
            if (line.Split(':') is [var range, var combining])
            {
                var value = byte.Parse(combining, CultureInfo.InvariantCulture);
                foreach (var point in Range(range))
                    tables.Classes[point] = value;
                continue;
            }

            var mark = line.AsSpan().IndexOfAny('=', '!');
            var source = Hex(line[..mark]);
            var parts = Points(line[(mark + 1)..]);
            tables.Decompositions[source] = parts;
            if (line[mark] == '=')
                tables.Compositions[(parts[0], parts[1])] = source;
        }

        return tables;
    }

    private static CompatibilityTables LoadCompatibility()
    {
        var tables = new CompatibilityTables([], []);
        foreach (var line in Lines("unicode-compatibility.txt"))
        {
            if (line.EndsWith('*'))
                tables.Marks.UnionWith(Range(line[..^1]));
            else if (line.Split('~') is [var source, var parts])
                tables.Decompositions[Hex(source)] = Points(parts);
        }

        return tables;
    }

    private static IEnumerable<string> Lines(string resource)
    {
        using var stream = typeof(UnicodeNormalization).Assembly.GetManifestResourceStream(resource)!;
        using var reader = new StreamReader(stream, Encoding.ASCII);
        while (reader.ReadLine() is { } line)
        {
            if (!line.StartsWith('#'))
                yield return line;
        }
    }

    private static IEnumerable<int> Range(string text)
    {
        var ends = text.Split('-');
        var first = Hex(ends[0]);
        return Enumerable.Range(first, Hex(ends[1]) - first + 1);
    }

    private static int[] Points(string text) => [.. text.Split(' ').Select(Hex)];

    private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    /// <param name="Decompositions">Of a code point, one step; to be repeated.</param>
    /// <param name="Compositions">Of two.</param>
    /// <param name="Classes">Combining classes that are not 0.</param>
    private sealed record CanonicalTables(Dictionary<int, int[]> Decompositions, Dictionary<(int First, int Second), int> Compositions, Dictionary<int, byte> Classes);

    /// <param name="Decompositions">Of a code point, whole, where it is another than the canonical one.</param>
    /// <param name="Marks">Combining marks.</param>
    private sealed record CompatibilityTables(Dictionary<int, int[]> Decompositions, HashSet<int> Marks);
}
