using System.Runtime.InteropServices;

namespace Moebius.Bench;

/// <summary>What is printed, as Markdown: the machine, then one table for each benchmark.</summary>
internal static class Report
{
    public static void Machine()
    {
        var processor = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown processor";
        var memory = long.Parse(File.ReadLines("/proc/meminfo").First().Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture) >> 20;
        Line($"Machine: {processor}, {Environment.ProcessorCount} processors, {memory} GiB; {RuntimeInformation.OSDescription}, Linux {Environment.OSVersion.Version}; {RuntimeInformation.FrameworkDescription}.");
        Line($"Load average at the start (1, 5, 15 minutes): {Load()}. Anything above about 0.5 means that others were using the machine.");
        Line("Each figure is the median over the repeats with the quartiles in brackets; a ratio is taken within each repeat.");
    }

    public static string Load() => string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ')[..3]);

    public static void Title(string title, params string[] columns)
    {
        Line("");
        Line($"## {title}");
        Line("");
        Row(columns);
        Row([.. columns.Select(_ => "---")]);
    }

    public static void Row(params string[] cells) => Line("| " + string.Join(" | ", cells) + " |");

    public static void Line(string text) => Console.Out.WriteLine(text);

    /// <summary>A bar that bounds the median from above.</summary>
    public static string AtMost(double value, double bar) => value <= bar ? "met" : "NOT met";

    /// <summary>A bar that bounds the median from below.</summary>
    public static string AtLeast(double value, double bar) => value >= bar ? "met" : "NOT met";
}
