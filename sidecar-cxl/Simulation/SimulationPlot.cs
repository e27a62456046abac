using System.Globalization;
using System.Text;
using Moebius.Cxl.Policy;

namespace Moebius.Cxl.Simulation;

/// <summary>Draws a simulation as SVG: the link's bandwidth over the share of reads, and where each strategy came to lie.</summary>
internal static class SimulationPlot
{
    private const int Left = 70, Right = 640, Top = 80, Bottom = 400;

    private static readonly string[] Colours = ["#5a6170", "#3b6fb6", "#2f9e62", "#8a5cc2", "#e0803a"];

    public static string Draw(LinkCurve link, Workload workload, IReadOnlyList<SimulationResult> results)
    {
        var most = results.Select(result => result.Bandwidth).Append(link.At(link.BestShare)).Max() * 1.1;
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"""
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 460" font-family="system-ui, sans-serif" font-size="13" fill="#1f2430">
            <rect width="980" height="460" fill="#ffffff"/>
            <text x="20" y="30" font-size="18" font-weight="600">SIMULATION: strategies on the published curve {link.Name}</text>
            <text x="20" y="52" fill="#5a6170">{workload.Threads.Count} threads on {workload.Cores} cores; curve of CXLAimPod, arXiv 2508.15980; a model, not a measurement</text>

            """);
        for (var i = 0; i <= 4; i++)
        {
            double share = i / 4.0, bandwidth = most * i / 4;
            svg.Append(CultureInfo.InvariantCulture, $"""
                <line x1="{Left}" y1="{Y(bandwidth):0.0}" x2="{Right}" y2="{Y(bandwidth):0.0}" stroke="#e4e7ec"/>
                <text x="{Left - 8}" y="{Y(bandwidth) + 4:0.0}" text-anchor="end" fill="#5a6170">{bandwidth:0.#}</text>
                <text x="{X(share):0.0}" y="{Bottom + 20}" text-anchor="middle" fill="#5a6170">{share * 100:0}%</text>

                """);
        }

        svg.Append(CultureInfo.InvariantCulture, $"""
            <text x="{(Left + Right) / 2}" y="{Bottom + 42}" text-anchor="middle" fill="#5a6170">share of reads in what the link carries; vertical: GiB/s</text>
            <polyline points="{Line(link.At)}" fill="none" stroke="#1f2430" stroke-width="2"/>
            <polyline points="{Line(share => link.Envelope(share).Bandwidth)}" fill="none" stroke="#1f2430" stroke-dasharray="3 4"/>
            <text x="680" y="{Top + 8}">line: the link</text>
            <text x="680" y="{Top + 26}">dotted: reachable by alternating</text>

            """);
        for (var i = 0; i < results.Count; i++)
        {
            var (result, y) = (results[i], Top + 62 + 26 * i);
            var text = $"{result.Strategy}: {result.Bandwidth.ToString("0.0", CultureInfo.InvariantCulture)} GiB/s, {(result.OfOracle * 100).ToString("0.0", CultureInfo.InvariantCulture)}% of oracle";
            if (result.ReadShare is { } share)
            {
                var colour = Colours[i % Colours.Length];
                svg.Append(CultureInfo.InvariantCulture, $"""
                    <circle cx="{X(share):0.0}" cy="{Y(result.Bandwidth):0.0}" r="6" fill="{colour}" fill-opacity="0.85"/>
                    <circle cx="686" cy="{y - 4}" r="6" fill="{colour}"/>

                    """);
            }
            else
            {
                // The oracle is a bound on bandwidth, of no one mix.
                svg.Append(CultureInfo.InvariantCulture, $"""
                    <line x1="{Left}" y1="{Y(result.Bandwidth):0.0}" x2="{Right}" y2="{Y(result.Bandwidth):0.0}" stroke="#c0392b" stroke-dasharray="8 4"/>
                    <line x1="678" y1="{y - 4}" x2="694" y2="{y - 4}" stroke="#c0392b" stroke-dasharray="8 4"/>

                    """);
            }

            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"702\" y=\"{y}\">{text}</text>\n");
        }

        return svg.Append("</svg>\n").ToString();

        double X(double share) => Left + share * (Right - Left);
        double Y(double bandwidth) => Bottom - bandwidth / most * (Bottom - Top);
        string Line(Func<double, double> bandwidth) =>
            string.Join(' ', Enumerable.Range(0, 101).Select(percent => string.Create(CultureInfo.InvariantCulture, $"{X(percent / 100.0):0.0},{Y(bandwidth(percent / 100.0)):0.0}")));
    }
}
