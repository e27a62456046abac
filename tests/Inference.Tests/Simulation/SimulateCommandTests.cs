using System.CommandLine;
using System.Text.Json;
using System.Xml.Linq;
using Moebius.Crds;
using Moebius.Inference.Prediction;
using Moebius.Inference.Simulation;

namespace Moebius.Inference.Tests.Simulation;

[Trait("Category", "Component")]
public sealed class SimulateCommandTests : IDisposable
{
    private readonly TemporaryDirectory _folder = new();
    private readonly string _trace;

    public SimulateCommandTests()
    {
        _trace = Path.Combine(_folder.Path, "toy.trace");
        TraceFile.Write(_trace, SimulatorTests.Trace(3, 8, 120));
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Json_has_every_policy_and_the_plot_is_drawn()
    {
        var plot = Path.Combine(_folder.Path, "plot.svg");
        var output = Run("--hardware", "nvme", "--budget", "50%", "-o", "json", "--plot", plot);
        using var json = JsonDocument.Parse(output);
        Assert.True(json.RootElement.GetProperty("simulation").GetBoolean());
        Assert.Equal(12, json.RootElement.GetProperty("slots").GetInt32());
        Assert.Equal(
            [SimulationStudy.OnDemand, SimulationStudy.NextLayer, "fixed step 2", "fixed step 3", SimulationStudy.TokenIds, SimulationStudy.ExpertFlow, SimulationStudy.Oracle, SimulationStudy.Belady],
            json.RootElement.GetProperty("policies").EnumerateArray().Select(policy => policy.GetProperty("name").GetString()));
        var drawn = XDocument.Load(plot).Root!.Value;
        Assert.Contains("SIMULATION", drawn, StringComparison.Ordinal);
        Assert.Contains("ExpertFlow", drawn, StringComparison.Ordinal);
    }

    [Fact]
    public void What_foretells_nothing_has_no_figures_of_foretelling()
    {
        string[] without = [SimulationStudy.OnDemand, SimulationStudy.Oracle, SimulationStudy.Belady];
        using var json = JsonDocument.Parse(Run("--hardware", "nvme", "--budget", "50%", "-o", "json"));
        Assert.All(json.RootElement.GetProperty("policies").EnumerateArray(), policy =>
        {
            var kind = without.Contains(policy.GetProperty("name").GetString()) ? JsonValueKind.Null : JsonValueKind.Number;
            foreach (var figure in new[] { "meanHorizon", "recall", "precision" })
                Assert.Equal(kind, policy.GetProperty(figure).ValueKind);
        });
        var table = Run("--hardware", "nvme", "--budget", "50%").Split('\n');
        Assert.All(without, name => Assert.Equal(["-", "-", "-"], table.Single(line => line.StartsWith(name + "  ", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^3..]));
    }

    [Fact]
    public void Where_nothing_waits_on_demand_there_is_nothing_to_compare_with()
    {
        var plot = Path.Combine(_folder.Path, "plot.svg");
        Assert.DoesNotContain("NaN", Run("--hardware", "nvme", "--budget", "100%", "--plot", plot), StringComparison.Ordinal);
        var drawn = File.ReadAllText(plot);
        Assert.DoesNotContain("NaN", drawn, StringComparison.Ordinal);
        Assert.DoesNotContain("of on-demand", drawn, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(Run("--hardware", "nvme", "--budget", "100%", "-o", "json"));
        Assert.All(json.RootElement.GetProperty("policies").EnumerateArray(), policy => Assert.Equal(JsonValueKind.Null, policy.GetProperty("stallOfOnDemand").ValueKind));
    }

    [Fact]
    public void A_larger_shape_and_machine_come_from_files_and_a_predictor_is_kept()
    {
        var shape = Write("shape.yaml", "{title: larger, layers: 7, experts: 12, topK: 3, expertBytes: 1000000, layerBytes: 500000, otherBytes: 0}");
        var machine = Write("machine.yaml", "{title: mine, linkGBs: 1, linkMicroseconds: 0, memoryGBs: 10, teraflops: 1, layerMicroseconds: 1, expertMicroseconds: 1, memoryGB: 0.04, reserveGB: 0}");
        var predictor = Path.Combine(_folder.Path, "predictor");
        var output = Run("--hardware", machine, "--model-shape", shape, "--batch", "2", "--save-predictor", predictor);
        Assert.StartsWith("SIMULATION", output, StringComparison.Ordinal);
        Assert.Contains("36 of 84 experts fit", output, StringComparison.Ordinal);
        Assert.Equal(output, Run("--hardware", machine, "--model-shape", shape, "--batch", "2"));
        Assert.NotEqual(output, Run("--hardware", machine, "--model-shape", shape, "--batch", "2", "--predictor", predictor));
    }

    [Fact]
    public void A_predictor_learns_the_whole_trace_however_many_steps_are_simulated()
    {
        string all = Path.Combine(_folder.Path, "all"), few = Path.Combine(_folder.Path, "few");
        Run("--hardware", "nvme", "--budget", "50%", "--save-predictor", all);
        Run("--hardware", "nvme", "--budget", "50%", "--steps", "16", "--save-predictor", few);
        Assert.Equal(File.ReadAllBytes(all), File.ReadAllBytes(few));
        var taught = Path.Combine(_folder.Path, "taught");
        PredictorFile.Write(taught, PredictorTraining.Run(TraceFile.Read(_trace), null));
        Assert.Equal(File.ReadAllBytes(taught), File.ReadAllBytes(all));
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        Assert.StartsWith("--hardware: 'b6000' is neither a file nor one of a6000", Refused("--hardware", "b6000"), StringComparison.Ordinal);
        Assert.StartsWith("--model-shape: 'gpt' is neither", Refused("--hardware", "nvme", "--model-shape", "gpt"), StringComparison.Ordinal);
        var typo = Write("typo.yaml", "{title: x, linkGBs: 1, linkGbs: 1}");
        Assert.Contains("linkGbs", Refused("--hardware", typo), StringComparison.Ordinal);
        var negative = Write("negative.yaml", "{title: x, linkGBs: -1, linkMicroseconds: 0, memoryGBs: 10, teraflops: 1, layerMicroseconds: 1, expertMicroseconds: 1, memoryGB: 1, reserveGB: 0}");
        Assert.Equal($"{negative}: linkGBs: -1 must be from 1E-09 to 1000000000000", Refused("--hardware", negative));
        var tiny = Write("tiny.yaml", "{title: x, linkGBs: 5e-324, linkMicroseconds: 0, memoryGBs: 10, teraflops: 1, layerMicroseconds: 1, expertMicroseconds: 1, memoryGB: 1, reserveGB: 0}");
        Assert.Equal($"{tiny}: linkGBs: 5E-324 must be from 1E-09 to 1000000000000", Refused("--hardware", tiny, "--budget", "50%"));
        var huge = Write("huge.yaml", "{title: x, linkGBs: 1, linkMicroseconds: 1e300, memoryGBs: 10, teraflops: 1, layerMicroseconds: 1, expertMicroseconds: 1, memoryGB: 1, reserveGB: 0}");
        Assert.Equal($"{huge}: linkMicroseconds: 1E+300 must be from 0 to 1000000000000", Refused("--hardware", huge));
        var unnamed = Write("unnamed.yaml", "{title: ' ', linkGBs: 1, linkMicroseconds: 0, memoryGBs: 10, teraflops: 1, layerMicroseconds: 1, expertMicroseconds: 1, memoryGB: 1, reserveGB: 0}");
        Assert.Equal($"{unnamed}: title: is empty: results are shown under it", Refused("--hardware", unnamed));
        Assert.StartsWith("--budget is 0%", Refused("--hardware", "nvme", "--budget", "0%"), StringComparison.Ordinal);
        Assert.StartsWith("--budget: 0 experts of 1000 bytes fit; a layer needs 2", Refused("--hardware", "nvme", "--budget", "10"), StringComparison.Ordinal);
        Assert.StartsWith("--batch is 9", Refused("--hardware", "nvme", "--batch", "9"), StringComparison.Ordinal);
        Assert.StartsWith("--steps is 500", Refused("--hardware", "nvme", "--steps", "500"), StringComparison.Ordinal);
        Assert.StartsWith("--max-horizon is 0", Refused("--hardware", "nvme", "--max-horizon", "0"), StringComparison.Ordinal);
        Assert.StartsWith($"--plot: {_folder.Path}/none/plot.svg cannot be written: there is no directory", Refused("--hardware", "nvme", "--plot", $"{_folder.Path}/none/plot.svg"), StringComparison.Ordinal);
        Assert.StartsWith($"--plot: {_folder.Path}/plot.png is named as another kind of picture", Refused("--hardware", "nvme", "--plot", $"{_folder.Path}/plot.png"), StringComparison.Ordinal);
        Assert.StartsWith("--save-predictor: /dev/null is a device", Refused("--hardware", "nvme", "--save-predictor", "/dev/null"), StringComparison.Ordinal);
        Assert.StartsWith($"--save-predictor: {_folder.Path} is a directory", Refused("--hardware", "nvme", "--save-predictor", _folder.Path), StringComparison.Ordinal);
        Assert.StartsWith("--output xml: must be text or json", Refused("--hardware", "nvme", "-o", "xml"), StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_trace_does_not_hold_is_refused_by_name()
    {
        Assert.Equal($"--max-horizon is 64; {_trace} has pre-gates up to 3 layers ahead: give at most that, or record it with a larger --horizon", Refused("--hardware", "nvme", "--budget", "50%", "--max-horizon", "64"));
        TraceFile.Write(_trace, new RoutingTrace(new TraceShape("toy", 3, 8, 1, 0, 16, 1000, 1000), new int[120], new ushort[360], new byte[360 * 8]));
        Assert.Equal($"--trace: {_trace} has no pre-gates of later layers, which all that plans goes by: record it with --horizon 1 or more", Refused("--hardware", "nvme", "--budget", "50%"));
    }

    [Theory]
    [InlineData("a6000")]
    [InlineData("h20")]
    [InlineData("a100")]
    [InlineData("nvme")]
    public void Built_in_machines_hold_the_built_in_models(string hardware)
    {
        foreach (var shape in new[] { "deepseek-v2-lite", "qwen1.5-moe" })
        {
            var output = Run("--hardware", hardware, "--model-shape", shape, "--steps", "16", "-o", "json");
            using var json = JsonDocument.Parse(output);
            Assert.InRange(json.RootElement.GetProperty("slots").GetInt32(), 500, json.RootElement.GetProperty("experts").GetInt32() - 1);
        }
    }

    [Theory]
    [InlineData("35%", 504)]
    [InlineData("70%", 1008)]
    public void A_share_of_the_experts_loses_none_to_rounding(string budget, int slots)
    {
        using var json = JsonDocument.Parse(Run("--hardware", "nvme", "--model-shape", "qwen1.5-moe", "--budget", budget, "--steps", "16", "-o", "json"));
        Assert.Equal(slots, json.RootElement.GetProperty("slots").GetInt32());
    }

    private string Write(string name, string text)
    {
        var path = Path.Combine(_folder.Path, name);
        File.WriteAllText(path, text);
        return path;
    }

    private string Refused(params string[] arguments) => Assert.Throws<UserInputException>(() => Run(arguments)).Message;

    private string Run(params string[] arguments)
    {
        var root = new RootCommand();
        foreach (var command in PlannerCommands.Create())
            root.Add(command);
        using var output = new StringWriter();
        Assert.Equal(0, root.Parse(["simulate", "--trace", _trace, .. arguments]).Invoke(new InvocationConfiguration { Output = output, EnableDefaultExceptionHandler = false }));
        return output.ToString();
    }
}
