using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Text;

namespace Moebius.Inference.Simulation;

/// <summary>The command <c>simulate</c>.</summary>
internal static class SimulateCommand
{
    /// <summary>Fewer steps say nothing after the warm-up.</summary>
    private const int LeastSteps = 16;

    public static Command Create()
    {
        var trace = new Option<string>("--trace") { Description = "Routing that moebius trace recorded.", HelpName = "FILE", Required = true };
        var hardware = new Option<string>("--hardware") { Description = "a6000, h20, a100, nvme, or a YAML file.", HelpName = "NAME", Required = true };
        var shape = new Option<string?>("--model-shape") { Description = "Stretch the trace to deepseek-v2-lite, qwen1.5-moe or the shape in a YAML file. Default: the model that was traced.", HelpName = "NAME" };
        var budget = new Option<string?>("--budget") { Description = "Memory for experts: a quantity such as 15G, or a percentage of the experts such as 50%. Default: what the hardware's memory leaves.", HelpName = "SIZE" };
        var batch = new Option<int>("--batch") { Description = "Sequences decoded together; each gets a stretch of the trace.", DefaultValueFactory = _ => 1 };
        var steps = new Option<int?>("--steps") { Description = "Steps to run, the first half to warm up. Default: as many as the trace has.", HelpName = "N" };
        var maxHorizon = new Option<int>("--max-horizon") { Description = "Largest horizon of ExpertFlow, at most the layers ahead that the trace has pre-gates for (without this option it is cut to them).", DefaultValueFactory = _ => 8 };
        var predictor = new Option<string?>("--predictor") { Description = "What ExpertFlow's predictor has learned before. Default: nothing.", HelpName = "FILE" };
        var save = new Option<string?>("--save-predictor") { Description = "Train a predictor on the whole trace and write it.", HelpName = "FILE" };
        var output = new OutputFormat();
        var plot = new Option<string?>("--plot") { Description = "Draw the result as SVG.", HelpName = "FILE" };
        var command = new Command("simulate", "SIMULATION: replay recorded routing on a simulated machine with every way to load experts, through the engine's own planner.")
        {
            trace, hardware, shape, budget, batch, steps, maxHorizon, predictor, save, output, plot,
        };
        command.SetAction(parsed =>
        {
            var json = output.IsJson(parsed);
            var horizon = parsed.GetValue(maxHorizon);
            if (horizon is < 1 or > 64)
                throw new UserInputException($"--max-horizon is {horizon}; it must be from 1 to 64");
            if (parsed.GetValue(plot) is { } picture)
            {
                OutputFiles.CheckFolder("--plot", picture);
                if (Path.GetExtension(picture) is var extension and not "" && !extension.Equals(".svg", StringComparison.OrdinalIgnoreCase))
                    throw new UserInputException($"--plot: {picture} is named as another kind of picture: it will be SVG, so end its name in .svg");
            }
            if (parsed.GetValue(save) is { } kept)
                OutputFiles.CheckReplaceable("--save-predictor", kept);
            var machine = Profiles.Hardware(parsed.GetRequiredValue(hardware));
            var larger = parsed.GetValue(shape) is { } name ? Profiles.Shape(name) : null;
            var file = parsed.GetRequiredValue(trace);
            var recorded = TraceFile.Read(file);
            if (recorded.Shape.Horizon < 1)
                throw new UserInputException($"--trace: {file} has no pre-gates of later layers, which all that plans goes by: record it with --horizon 1 or more");
            var source = Source(recorded, larger, parsed.GetValue(batch), parsed.GetValue(steps), out var model, out var maxStep);
            if (horizon > maxStep && parsed.GetResult(maxHorizon) is { Implicit: false })
                throw new UserInputException($"--max-horizon is {horizon}; {file} has pre-gates up to {maxStep} layers ahead: give at most that, or record it with a larger --horizon");
            var setup = new SimulationSetup(machine, model, parsed.GetValue(batch), Slots(machine, model, parsed.GetValue(budget)), source.Steps / 2, new HorizonLimits(horizon, 4, 8));
            var learned = parsed.GetValue(predictor);
            // Refused before the long work rather than in the middle of it.
            if (learned is not null)
                PredictorFile.Read(learned, source.Shape);
            var runs = SimulationStudy.Run(setup, source, maxStep, learned is null ? null : () => PredictorFile.Read(learned, source.Shape)).ToList();
            var to = parsed.InvocationConfiguration.Output;
            if (json)
                to.WriteLine(JsonSerializer.Serialize(Result(setup, file, runs), JsonStyles.Printed));
            else
                Print(to, setup, file, source.Steps, runs);
            if (parsed.GetValue(plot) is { } drawing)
                OutputFiles.Write("--plot", drawing, SimulationPlot.Draw(setup, Path.GetFileName(file), runs));
            if (parsed.GetValue(save) is { } learnt)
            {
                var trained = new RoutingPredictor(source.Shape);
                PredictorTraining.Run(Source(recorded, larger, parsed.GetValue(batch), null, out _, out _), trained, Math.Min(horizon, maxStep));
                PredictorFile.Write(learnt, trained);
            }
            return 0;
        });
        return command;
    }

    /// <summary>What is replayed: the trace as it is, or stretched to a larger model.</summary>
    private static RoutingReplay Source(RoutingTrace trace, ModelShape? larger, int batch, int? steps, out ModelShape model, out int maxStep)
    {
        if (batch < 1 || trace.Tokens.Length / batch < LeastSteps)
            throw new UserInputException($"--batch is {batch}; it must be from 1 to {trace.Tokens.Length / LeastSteps}, a share of {LeastSteps} tokens of the trace's {trace.Tokens.Length} for each sequence");
        if (steps is { } limit)
        {
            if (limit < LeastSteps || limit > trace.Tokens.Length / batch)
                throw new UserInputException($"--steps is {limit}; it must be from {LeastSteps} to {trace.Tokens.Length / batch}, what the trace has for each sequence");
            trace = trace.Slice(0, limit * batch);
        }
        var recorded = trace.Shape;
        if (larger is null)
        {
            model = new ModelShape
            {
                Title = recorded.Architecture,
                Layers = recorded.Layers,
                Experts = recorded.Experts,
                TopK = recorded.TopK,
                ExpertBytes = recorded.ExpertBytes,
                LayerBytes = recorded.DenseBytes / (recorded.Layers + 1),
                OtherBytes = recorded.DenseBytes / (recorded.Layers + 1),
            };
            maxStep = Math.Min(recorded.Horizon, recorded.Layers);
            return new TraceReplay(trace, batch);
        }
        if (recorded.Horizon < recorded.Layers)
            throw new UserInputException($"--model-shape: the trace has pre-gates up to {recorded.Horizon} layers ahead; stretching needs all {recorded.Layers}: record it with --horizon {recorded.Layers}");
        model = larger;
        var stretched = new StretchedReplay(trace, new RoutingShape(model.Layers, model.Experts, model.TopK, recorded.Vocabulary), batch);
        maxStep = Enumerable.Range(0, model.Layers).Min(stretched.MaxHorizon);
        return stretched;
    }

    private static int Slots(HardwareProfile machine, ModelShape model, string? budget)
    {
        var all = model.Layers * model.Experts;
        if (budget?.EndsWith('%') == true)
        {
            return decimal.TryParse(budget[..^1], NumberStyles.Float, CultureInfo.InvariantCulture, out var percent) && percent is > 0 and <= 100
                ? Enough((int)(percent * all / 100))
                : throw new UserInputException($"--budget is {budget}; a percentage must be above 0 and at most 100");
        }

        var bytes = budget switch
        {
            null => (machine.MemoryGB - machine.ReserveGB) * 1e9 - (double)model.LayerBytes * model.Layers - model.OtherBytes,
            _ => Quantities.ParseBytes(budget, "--budget"),
        };
        return Enough((int)Math.Clamp(Math.Floor(bytes / model.ExpertBytes), 0, all));

        int Enough(int slots) => slots >= model.TopK
            ? slots
            : throw new UserInputException($"{(budget is null ? "--hardware: memoryGB" : "--budget")}: {slots} experts of {model.ExpertBytes} bytes fit; a layer needs {model.TopK}");
    }

    private static void Print(TextWriter to, SimulationSetup setup, string trace, int steps, List<SimulatedPolicy> runs)
    {
        var times = SimulatedTimes.Of(setup.Hardware, setup.Shape, setup.Batch);
        to.WriteLine("SIMULATION, not a measurement: recorded routing, the engine's planner, cache and queue, a simulated machine.");
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{setup.Shape.Title} on {setup.Hardware.Title}; routing from {trace}, {steps} steps of {setup.Batch}, counted from step {setup.WarmUp} on"));
        to.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{setup.Slots} of {setup.Shape.Layers * setup.Shape.Experts} experts fit; one takes {times.Transfer * 1e6:0} us to load and {times.Expert(1) * 1e6:0} us to run; a layer's other weights {times.Dense * 1e6:0} us"));
        to.WriteLine();
        to.WriteLine($"{"policy",-20} {"tokens/s",9} {"stall",7} {"of on-demand",13} {"hit rate",9} {"over-fetch",11} {"horizon",8} {"recall",7} {"precision",10}");
        foreach (var policy in runs)
        {
            var (name, run) = policy;
            to.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{name,-20} {run.TokensPerSecond,9:0.00} {run.StallSeconds / run.Seconds,7:0.0%} {OfOnDemand(run, runs)?.ToString("0.0%", CultureInfo.InvariantCulture) ?? "-",13} {run.HitRate,9:0.0%} {run.OverFetchRate,11:0.0%} {Planned(run.MeanHorizon, "0.0"),8} {Planned(run.Recall, "0.000"),7} {Planned(run.Precision, "0.000"),10}"));

            string Planned(double value, string format) => policy.Foretells ? value.ToString(format, CultureInfo.InvariantCulture) : "-";
        }
    }

    /// <summary>Stall as a share of that on demand, which comes first; null where on demand has none.</summary>
    internal static double? OfOnDemand(SimulatedRun run, IReadOnlyList<SimulatedPolicy> runs) =>
        runs[0].Run.StallSeconds > 0 ? run.StallSeconds / runs[0].Run.StallSeconds : null;

    private static double? Foretold(SimulatedPolicy policy, double figure) => policy.Foretells ? figure : null;

    private static object Result(SimulationSetup setup, string trace, List<SimulatedPolicy> runs) => new
    {
        Simulation = true,
        Trace = trace,
        Hardware = setup.Hardware.Title,
        Model = setup.Shape.Title,
        setup.Batch,
        setup.Slots,
        Experts = setup.Shape.Layers * setup.Shape.Experts,
        Policies = runs.Select(policy => new
        {
            policy.Name,
            policy.Run.TokensPerSecond,
            policy.Run.StallSeconds,
            StallShare = policy.Run.StallSeconds / policy.Run.Seconds,
            StallOfOnDemand = OfOnDemand(policy.Run, runs),
            policy.Run.HitRate,
            policy.Run.OverFetchRate,
            policy.Run.Loaded,
            MeanHorizon = Foretold(policy, policy.Run.MeanHorizon),
            Recall = Foretold(policy, policy.Run.Recall),
            Precision = Foretold(policy, policy.Run.Precision),
        }),
    };
}
