using System.Globalization;

namespace Moebius.Cxl.Kernel;

/// <summary>The kernel's lists of numbers, as in <c>0-3,8,10-11</c>; used for CPUs and for NUMA nodes.</summary>
internal static class CpuList
{
    /// <summary>Parses a list; null if the text is none. An empty text is the empty list.</summary>
    public static IReadOnlyList<int>? TryParse(string text)
    {
        var numbers = new List<int>();
        foreach (var part in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var bounds = part.Split('-');
            if (bounds.Length > 2 || !TryNumber(bounds[0], out var first) || !TryNumber(bounds[^1], out var last) || last < first || last > 65_535)
                return null;
            numbers.AddRange(Enumerable.Range(first, last - first + 1));
        }

        return numbers;
    }

    /// <summary>Writes ascending numbers as the kernel does.</summary>
    public static string Format(IEnumerable<int> numbers)
    {
        var parts = new List<(int First, int Last)>();
        foreach (var number in numbers.Order().Distinct())
        {
            if (parts.Count > 0 && parts[^1].Last == number - 1)
                parts[^1] = (parts[^1].First, number);
            else
                parts.Add((number, number));
        }

        return string.Join(',', parts.Select(part => part.First == part.Last ? $"{part.First}" : $"{part.First}-{part.Last}"));
    }

    private static bool TryNumber(string text, out int number) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
}
