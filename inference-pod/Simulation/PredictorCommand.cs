using System.CommandLine;
using System.Globalization;
using Moebius.Crds;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Simulation;

/// <summary>The command <c>predictor</c>.</summary>
internal static class PredictorCommand
{
    /// <summary>Share of the tokens that are kept back to measure on.</summary>
    private const int HeldOut = 10;

    /// <summary>Fewer tokens than this teach nothing.</summary>
    private const int LeastTokens = 100;

    public static Command Create()
    {
        var directory = new Argument<string>("MODEL") { Description = "Model directory in Hub layout, with tokenizer.json." };
        var text = new Option<string>("--text") { Description = "UTF-8 text like that which will be served.", HelpName = "FILE", Required = true };
        var tokens = new Option<int>("--max-tokens") { Description = "Tokens to read, at most.", DefaultValueFactory = _ => 40_000 };
        var output = new Option<string?>("--out") { Description = $"Where to write the predictor. Default: {PredictorFile.DefaultName} in the model's directory, where 'serve' looks for it.", HelpName = "FILE" };
        var budget = new Option<string?>("--expert-budget") { Description = "Limit of the memory that holds experts: bytes or a quantity such as 4Mi. All experts when absent.", HelpName = "QUANTITY" };
        var threads = new Option<int>("--threads") { Description = "Compute threads.", DefaultValueFactory = _ => Environment.ProcessorCount };
        var command = new Command("predictor", "Teach a routing predictor on a text, for 'serve --prefetch': it foresees better from the first request on. The file holds statistics of token ids and routing.")
        {
            directory, text, tokens, output, budget, threads,
        };
        command.SetAction(parsed =>
        {
            int most = parsed.GetValue(tokens);
            if (most < LeastTokens)
                throw new UserInputException($"--max-tokens is {most}; it must be {LeastTokens} or more");
            if (parsed.GetValue(output) is { } given)
                OutputFiles.CheckFolder("--out", given);
            string model = parsed.GetRequiredValue(directory), to = parsed.GetValue(output) ?? Path.Combine(model, PredictorFile.DefaultName);
            var trace = TraceRun.OfText(model, TraceRun.ReadText(parsed.GetRequiredValue(text)), most, null, new ModelLoadOptions
            {
                Threads = parsed.GetValue(threads),
                ExpertBudgetBytes = parsed.GetValue(budget) is { } quantity ? Quantities.ParseBytes(quantity, "--expert-budget") : null,
            });
            if (trace.Tokens.Length < LeastTokens)
                throw new UserInputException($"--text has {trace.Tokens.Length} tokens; a predictor needs {LeastTokens} or more");
            int held = trace.Tokens.Length / HeldOut;
            var learned = new TraceReplay(trace.Slice(0, trace.Tokens.Length - held), 1);
            var predictor = new RoutingPredictor(learned.Shape);
            PredictorTraining.Run(learned, predictor, trace.Shape.Horizon);
            var recalls = RecallMeter.Measure(new TraceReplay(trace.Slice(trace.Tokens.Length - held, held), 1), predictor, LoadThreshold.Initial);
            PredictorFile.Write(to, predictor);
            Print(parsed.InvocationConfiguration.Output, to, learned.Steps, held, recalls);
            return 0;
        });
        return command;
    }

    private static void Print(TextWriter to, string file, int learned, int held, IReadOnlyList<HorizonRecall> recalls)
    {
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{file}: learned from {learned} tokens; of what the {held} after them used it foresaw"));
        foreach (var recall in recalls)
        {
            to.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"  {(recall.Distance == 0 ? "from the token id" : $"{recall.Distance} layers ahead"),-18} {100 * recall.Recall,5:F1}% with {recall.SetSize:F1} experts a layer"));
        }
    }
}
