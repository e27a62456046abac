using System.Globalization;
using System.Text;
using Bogus;

namespace Moebius.Bench.KvCache.Detection;

/// <summary>Ordinary text: prose of the public domain, this repository's sources, and lines that look like secrets and are none.</summary>
internal static class HarmlessTexts
{
    private const int Lines = 2000;

    public static IEnumerable<(string Name, string Text)> All()
    {
        var data = Path.Combine(RepositoryFiles.Root, "tests", "KvCache.Tests", "Data");
        yield return ("novels (Austen)", File.ReadAllText(Path.Combine(data, "austen.txt")));
        yield return ("King James Bible", File.ReadAllText(Path.Combine(data, "kjv.txt")));
        yield return ("C# of this repository", Join(Path.Combine(RepositoryFiles.Root, "operator"), "*.cs"));
        yield return ("Markdown of this repository", Join(Path.Combine(RepositoryFiles.Root, "docs"), "*.md"));
        yield return ("numbers that are no secrets", Numbers());
    }

    private static string Join(string folder, string pattern) => string.Join('\n', Directory.EnumerateFiles(folder, pattern, SearchOption.AllDirectories)
        .Where(file => !file.Contains("/obj/", StringComparison.Ordinal)).Order(StringComparer.Ordinal).Select(File.ReadAllText));

    private static string Numbers()
    {
        var random = new Randomizer(4);
        var text = new StringBuilder();
        for (var line = 0; line < Lines; line++)
        {
            text.AppendLine(random.Int(0, 11) switch
            {
                0 => $"Upgrade to version {random.Int(0, 20)}.{random.Int(0, 30)}.{random.Int(0, 99)} before the next release.",
                1 => $"ISBN 978-{random.Int(0, 9)}-{random.Int(10, 99)}-{random.Int(100000, 999999)}-{random.Int(0, 9)} is out of print.",
                2 => $"commit {random.Hash(40)} changes the parser",
                3 => $"sha256:{random.Hash(64)}",
                4 => string.Create(CultureInfo.InvariantCulture, $"2025-{random.Int(1, 12):00}-{random.Int(1, 28):00}T{random.Int(0, 23):00}:{random.Int(0, 59):00}:{random.Int(0, 59):00}Z job {random.Int(1, 9999)} done"),
                5 => $"It costs ${random.Int(1, 999)},{random.Int(100, 999)}.{random.Int(10, 99)} for {random.Int(2, 90)} units.",
                6 => $"The lake is {random.Int(100, 9999)} metres deep and {random.Int(10, 900)} km long.",
                7 => $"In {random.Int(1700, 2020)} about {random.Int(1, 99)} million people lived there.",
                8 => $"x = {random.Double(-10, 10).ToString("F6", CultureInfo.InvariantCulture)} after {random.Int(10, 99999)} iterations",
                9 => $"The match ended {random.Int(0, 7)}:{random.Int(0, 7)} before {random.Int(1000, 90000)} spectators.",
                10 => $"Order {random.Int(1000, 9999)}: {random.Int(1, 9)} x {random.Int(10, 99)} mm screws, {random.Int(1, 99)}% off",
                _ => $"id {random.Guid()} has {random.Int(1, 500)} rows",
            });
        }

        return text.ToString();
    }
}
