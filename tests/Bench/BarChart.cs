using System.Globalization;
using System.Security;
using System.Text;

namespace Moebius.Bench;

/// <summary>Horizontal bars as SVG, for the documentation.</summary>
internal static class BarChart
{
    /// <summary>Environment variable that names the folder for charts; without it none is written.</summary>
    public const string FolderVariable = "MOEBIUS_BENCH_CHARTS";

    private const int Left = 260;
    private const int Width = 420;
    private const int Step = 34;
    private const int Top = 48;

    /// <param name="file">File name within the folder.</param>
    /// <param name="title">What is drawn, with its unit.</param>
    /// <param name="bars">Names and values, 0 or more.</param>
    public static void Save(string file, string title, IReadOnlyList<(string Name, double Value)> bars)
    {
        if (Environment.GetEnvironmentVariable(FolderVariable) is not { Length: > 0 } folder)
            return;
        var most = Math.Max(bars.Max(bar => bar.Value), 1e-9);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{Left + Width + 90}\" height=\"{Top + (Step * bars.Count) + 12}\" font-family=\"sans-serif\" font-size=\"14\">\n");
        svg.Append("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"16\" y=\"28\" font-weight=\"bold\">{SecurityElement.Escape(title)}</text>\n");
        for (var index = 0; index < bars.Count; index++)
        {
            var (name, value) = bars[index];
            var y = Top + (Step * index);
            var length = Math.Max(1, value / most * Width);
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 10}\" y=\"{y + 17}\" text-anchor=\"end\">{SecurityElement.Escape(name)}</text>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{Left}\" y=\"{y}\" width=\"{length:F1}\" height=\"24\" fill=\"#3b6ea5\"/>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left + length + 6:F1}\" y=\"{y + 17}\">{value:F1}</text>\n");
        }

        svg.Append("</svg>\n");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, file), svg.ToString());
    }
}
