using System.Globalization;
using System.Text;

namespace Moebius.Inference.Text.Tokenization;

/// <summary>
/// Unicode normalization form C. The runtime's own normalization needs ICU and silently leaves text as it is without
/// it (invariant globalization), which would change tokens; so the tables are part of the assembly.
/// </summary>
internal static class UnicodeComposition
{
    private const int HangulBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int Leads = 19, Vowels = 21, Trails = 28;

    private static readonly Lazy<Tables> Data = new(Load);

    /// <summary>The text in form C.</summary>
    public static string Compose(string text)
    {
        // Everything below U+0300 is composed already and starts afresh.
        if (!text.Any(character => character >= '\u0300'))
            return text;
        var tables = Data.Value;
        var points = new List<(int Point, byte Class)>(text.Length);
        foreach (var rune in text.EnumerateRunes())
            Decompose(rune.Value, tables, points);
        Order(points);
        return ComposePoints(points, tables);
    }

    private static void Decompose(int point, Tables tables, List<(int Point, byte Class)> output)
    {
        if (point is >= HangulBase and < HangulBase + (Leads * Vowels * Trails))
        {
            var index = point - HangulBase;
            output.Add((LeadBase + (index / (Vowels * Trails)), 0));
            output.Add((VowelBase + (index % (Vowels * Trails) / Trails), 0));
            if (index % Trails != 0)
                output.Add((TrailBase + (index % Trails), 0));
        }
        else if (tables.Decompositions.TryGetValue(point, out var parts))
        {
            foreach (var part in parts)
                Decompose(part, tables, output);
        }
        else
        {
            output.Add((point, tables.Classes.GetValueOrDefault(point)));
        }
    }

    // Runs of combining marks sort by class, stably.
    private static void Order(List<(int Point, byte Class)> points)
    {
        for (var i = 1; i < points.Count; i++)
        {
            var current = points[i];
            var j = i;
            while (current.Class > 0 && j > 0 && points[j - 1].Class > current.Class)
            {
                points[j] = points[j - 1];
                j--;
            }

            points[j] = current;
        }
    }

    private static string ComposePoints(List<(int Point, byte Class)> points, Tables tables)
    {
        var output = new List<int>(points.Count);
        var starter = -1;
        var lastClass = -1;
        foreach (var (point, combining) in points)
        {
            if (starter >= 0 && lastClass < combining && Pair(output[starter], point, tables) is { } composed)
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

        var text = new StringBuilder(output.Count);
        foreach (var point in output)
            text.Append(new Rune(point).ToString());
        return text.ToString();
    }

    private static int? Pair(int first, int second, Tables tables)
    {
        if (first is >= LeadBase and < LeadBase + Leads && second is >= VowelBase and < VowelBase + Vowels)
            return HangulBase + ((((first - LeadBase) * Vowels) + (second - VowelBase)) * Trails);
        if (first is >= HangulBase and < HangulBase + (Leads * Vowels * Trails) && (first - HangulBase) % Trails == 0 && second is > TrailBase and < TrailBase + Trails)
            return first + (second - TrailBase);
        return tables.Compositions.TryGetValue((first, second), out var composed) ? composed : null;
    }

    private static Tables Load()
    {
        using var stream = typeof(UnicodeComposition).Assembly.GetManifestResourceStream("unicode-composition.txt")!;
        using var reader = new StreamReader(stream, Encoding.ASCII);
        var tables = new Tables([], [], []);
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#'))
                continue;
            if (line.Split(':') is [var range, var combining])
            {
                var ends = range.Split('-');
                for (var point = Hex(ends[0]); point <= Hex(ends[1]); point++)
                    tables.Classes[point] = byte.Parse(combining, CultureInfo.InvariantCulture);
                continue;
            }

            var mark = line.AsSpan().IndexOfAny('=', '!');
            var source = Hex(line[..mark]);
            int[] parts = [.. line[(mark + 1)..].Split(' ').Select(Hex)];
            tables.Decompositions[source] = parts;
            if (line[mark] == '=')
                tables.Compositions[(parts[0], parts[1])] = source;
        }

        return tables;
    }

    private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private sealed record Tables(Dictionary<int, int[]> Decompositions, Dictionary<(int First, int Second), int> Compositions, Dictionary<int, byte> Classes);
}
