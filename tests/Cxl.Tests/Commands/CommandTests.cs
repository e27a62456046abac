using System.CommandLine;
using System.Text.Json;
using System.Xml.Linq;
using Moebius.Crds;

namespace Moebius.Cxl.Tests.Commands;

public sealed class CommandTests
{
    [Fact]
    public void Simulation_is_printed_as_json_and_drawn()
    {
        var folder = Directory.CreateTempSubdirectory("moebius-cxl-");
        try
        {
            var plot = Path.Combine(folder.FullName, "plot.svg");
            using var json = JsonDocument.Parse(Run("cxl", "simulate", "--curve", "cxl-b", "--slices", "200", "-o", "json", "--plot", plot));
            Assert.True(json.RootElement.GetProperty("simulation").GetBoolean());
            var results = json.RootElement.GetProperty("results").EnumerateArray().ToList();

            var drawn = XDocument.Load(plot);
            Assert.StartsWith("SIMULATION: strategies on the published curve cxl-b", drawn.Descendants().First(element => element.Name.LocalName == "text").Value, StringComparison.Ordinal);
            foreach (var result in results)
                Assert.Contains($"{result.GetProperty("strategy").GetString()}: ", drawn.Root!.Value, StringComparison.Ordinal);
            // Each strategy is a point on the curve's plane, and one beside its name; the oracle is a line.
            var points = drawn.Descendants().Where(element => element.Name.LocalName == "circle" && (double)element.Attribute("cx")! < 640).ToList();
            Assert.Equal(results.Count - 1, points.Count);
            var best = results.SkipLast(1).MaxBy(result => result.GetProperty("bandwidth").GetDouble());
            Assert.Equal(results.IndexOf(best), points.IndexOf(points.MinBy(point => (double)point.Attribute("cy")!)!));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("--curve cxl-c: no such curve", "simulate", "--curve", "cxl-c")]
    [InlineData("--readers -1: must be 0 or more", "simulate", "--readers", "-1")]
    [InlineData("--cores 0: must be 1 or more", "simulate", "--cores", "0")]
    [InlineData("--demand NaN: must be above 0 GiB/s", "simulate", "--demand", "NaN")]
    [InlineData("--plot: /proc/none/plot.svg cannot be written", "simulate", "--slices", "10", "--plot", "/proc/none/plot.svg")]
    [InlineData("--readers, --writers, --balanced and --latency are all 0", "simulate", "--readers", "0", "--writers", "0", "--latency", "0")]
    [InlineData("--size 3Mi: must be a power of two", "bench", "--size", "3Mi")]
    [InlineData("--reads 150: ", "bench", "--reads", "150")]
    [InlineData("--output xml: must be text or json", "topology", "-o", "xml")]
    [InlineData("--output 1: must be text or json", "simulate", "-o", "1")]
    [InlineData("--top -1: must be 0 or more", "agent", "--top", "-1")]
    [InlineData("--listen: has no effect with --once", "agent", "--once", "--listen", "127.0.0.1:0")]
    [InlineData("--output: has no effect without --once", "agent", "-o", "json")]
    [InlineData("--node 1000: this machine has no such node", "bench", "--node", "1000")]
    public void Bad_input_is_refused_by_name(string message, params string[] arguments) =>
        Assert.StartsWith(message, Assert.Throws<UserInputException>(() => Run(["cxl", .. arguments])).Message, StringComparison.Ordinal);

    private static string Run(params string[] arguments)
    {
        var root = new RootCommand();
        foreach (var command in CxlCommands.Create())
            root.Add(command);
        using var output = new StringWriter();
        Assert.Equal(0, root.Parse(arguments).Invoke(new InvocationConfiguration { Output = output, EnableDefaultExceptionHandler = false }));
        return output.ToString();
    }
}
