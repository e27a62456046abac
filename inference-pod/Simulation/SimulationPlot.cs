using System.Globalization;
using System.Security;
using System.Text;

namespace Moebius.Inference.Simulation;

/// <summary>Draws a simulation as SVG: for each policy the time of a token, split into compute and stall.</summary>
internal static class SimulationPlot
{
    private const int Left = 170, Right = 300, Width = 960, Bar = 20, Gap = 10, Top = 92;

    public static string Draw(SimulationSetup setup, string trace, IReadOnlyList<SimulatedPolicy> policies)
    {
        double longest = policies.Max(Milliseconds), scale = (Width - Left - Right) / longest;
        int height = Top + policies.Count * (Bar + Gap) + 50, bottom = Top + policies.Count * (Bar + Gap);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"""
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {Width} {height}" font-family="system-ui, sans-serif" font-size="13" fill="#1f2430">
            <rect width="{Width}" height="{height}" fill="#ffffff"/>
            <text x="20" y="30" font-size="18" font-weight="600">SIMULATION: time of a token, {Escape(setup.Shape.Title)} on {Escape(setup.Hardware.Title)}</text>
            <text x="20" y="52" fill="#5a6170">{setup.Slots} of {setup.Shape.Layers * setup.Shape.Experts} experts fit; {setup.Batch} {(setup.Batch == 1 ? "sequence" : "sequences")}; routing from {Escape(trace)}</text>
            <rect x="{Left}" y="66" width="12" height="12" fill="#3b6fb6"/><text x="{Left + 18}" y="77">compute</text>
            <rect x="{Left + 100}" y="66" width="12" height="12" fill="#e0803a"/><text x="{Left + 118}" y="77">stall (compute waits for experts)</text>

            """);
        foreach (var tick in Ticks(longest))
        {
            svg.Append(CultureInfo.InvariantCulture, $"""
                <line x1="{Left + tick * scale:0.0}" y1="{Top - 4}" x2="{Left + tick * scale:0.0}" y2="{bottom}" stroke="#e4e7ec"/>
                <text x="{Left + tick * scale:0.0}" y="{bottom + 18}" text-anchor="middle" fill="#5a6170">{tick:0.###}</text>

                """);
        }
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left}\" y=\"{bottom + 38}\" fill=\"#5a6170\">milliseconds for each token of a sequence</text>\n");
        for (var i = 0; i < policies.Count; i++)
        {
            var (name, run) = policies[i];
            double stall = Milliseconds(policies[i]) * run.StallSeconds / run.Seconds, compute = Milliseconds(policies[i]) - stall;
            var y = Top + i * (Bar + Gap);
            var stalled = SimulateCommand.OfOnDemand(run, policies) is { } share ? string.Create(CultureInfo.InvariantCulture, $", stall {100 * share:0.0}% of on-demand") : "";
            var weight = name == SimulationStudy.ExpertFlow ? " font-weight=\"600\"" : "";
            svg.Append(CultureInfo.InvariantCulture, $"""
                <text x="{Left - 10}" y="{y + 15}" text-anchor="end"{weight}>{Escape(name)}</text>
                <rect x="{Left}" y="{y}" width="{compute * scale:0.0}" height="{Bar}" fill="#3b6fb6"/>
                <rect x="{Left + compute * scale:0.0}" y="{y}" width="{stall * scale:0.0}" height="{Bar}" fill="#e0803a"/>
                <text x="{Left + (compute + stall) * scale + 8:0.0}" y="{y + 15}"{weight}>{run.TokensPerSecond:0.0} tokens/s{stalled}</text>

                """);
        }
        return svg.Append("</svg>\n").ToString();

        double Milliseconds(SimulatedPolicy policy) => 1000 * policy.Run.Seconds * setup.Batch / policy.Run.Tokens;
    }

    private static IEnumerable<double> Ticks(double longest)
    {
        var step = Math.Pow(10, Math.Floor(Math.Log10(longest)));
        while (longest / step < 4)
            step /= 2;
        for (double tick = 0; tick <= longest; tick += step)
            yield return tick;
    }

    private static string Escape(string text) => SecurityElement.Escape(text);
}
