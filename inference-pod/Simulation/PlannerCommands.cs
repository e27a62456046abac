using System.CommandLine;
using System.Globalization;
using Moebius.Crds;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;

namespace Moebius.Inference.Simulation;

/// <summary>The command line of prefetch planning: <c>trace</c>, <c>predictor</c> and <c>simulate</c>.</summary>
public static class PlannerCommands
{
    /// <summary>
    /// The commands to add to <c>moebius</c>. They throw <see cref="UserInputException"/> on bad input.
    /// </summary>
    public static IEnumerable<Command> Create() => [Trace(), PredictorCommand.Create(), SimulateCommand.Create()];

    private static Command Trace()
    {
        var directory = new Argument<string>("MODEL") { Description = "Model directory in Hub layout, with tokenizer.json." };
        var text = new Option<string?>("--text") { Description = "UTF-8 text to read.", HelpName = "FILE" };
        var prompt = new Option<string?>("--prompt") { Description = "Text to go on from, greedily.", HelpName = "TEXT" };
        var output = new Option<string>("--out") { Description = "Where to write the trace.", HelpName = "FILE", Required = true };
        var tokens = new Option<int?>("--max-tokens") { Description = "Tokens to record, those of --prompt among them. Default: the whole text, or 256 with --prompt.", HelpName = "N" };
        var horizon = new Option<int?>("--horizon") { Description = "Layers ahead to record pre-gates for. Default: the model's MoE layers, at most 8.", HelpName = "N" };
        var load = new LoadFlags();
        var command = new Command("trace", "Record which experts a model's routers choose, token by token, for moebius simulate. The file holds token ids: keep it as confidential as the text.")
        {
            directory, text, prompt, output, tokens, horizon,
        };
        load.AddTo(command);
        command.SetAction(parsed =>
        {
            var (file, start) = (parsed.GetValue(text), parsed.GetValue(prompt));
            if (file is null == start is null)
                throw new UserInputException("give either --text or --prompt");
            var most = parsed.GetValue(tokens);
            if (most is < 1)
                throw new UserInputException($"--max-tokens is {most}; it must be 1 or more");
            var options = load.Read(parsed);
            string model = parsed.GetRequiredValue(directory), to = parsed.GetRequiredValue(output);
            OutputFiles.CheckReplaceable("--out", to);
            var trace = file is not null
                ? TraceRun.OfText(model, TraceRun.ReadText(file), most ?? int.MaxValue, parsed.GetValue(horizon), options)
                : TraceRun.OfPrompt(model, start!, most, parsed.GetValue(horizon), options);
            TraceFile.Write(to, trace);
            parsed.InvocationConfiguration.Output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{to}: {trace.Tokens.Length} tokens of {trace.Shape.Architecture}, {trace.Shape.Layers} layers x {trace.Shape.Experts} experts, top-{trace.Shape.TopK}, pre-gates up to {trace.Shape.Horizon} layers ahead"));
            return 0;
        });
        return command;
    }
}
