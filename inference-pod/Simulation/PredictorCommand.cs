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

    /// <summary>The same model writes the same text each time.</summary>
    private const int Seed = 1;

    /// <summary>Fewer tokens than this teach nothing.</summary>
    private const int LeastTokens = 100;

    public static Command Create()
    {
        var directory = new Argument<string>("MODEL") { Description = "Model directory in Hub layout, with tokenizer.json." };
        var text = new Option<string?>("--text") { Description = "UTF-8 text like that which will be served.", HelpName = "FILE" };
        var tokens = new Option<int>("--max-tokens") { Description = "Tokens of --text to read, at most.", DefaultValueFactory = _ => 40_000 };
        var own = new Option<int>("--own-tokens") { Description = "Tokens that the model is to write by itself, with temperature 1, and that are learned before --text or in place of it.", HelpName = "N" };
        var output = new Option<string?>("--out") { Description = $"Where to write the predictor. Default: {PredictorFile.DefaultName} in the model's directory, where 'serve' looks for it.", HelpName = "FILE" };
        var load = new LoadFlags();
        var command = new Command("predictor", "Teach a routing predictor on a text, or on what the model writes itself, for 'serve --prefetch': it foresees better from the first request on. The file holds statistics of token ids and routing.")
        {
            directory, text, tokens, own, output,
        };
        load.AddTo(command);
        command.SetAction(parsed =>
        {
            var (most, written, file) = (parsed.GetValue(tokens), parsed.GetValue(own), parsed.GetValue(text));
            if (most < LeastTokens)
                throw new UserInputException($"--max-tokens is {most}; it must be {LeastTokens} or more");
            if (written is < 0 or > 0 and < LeastTokens)
                throw new UserInputException($"--own-tokens is {written}; it must be {LeastTokens} or more, or 0 for none");
            if (file is null && written == 0)
                throw new UserInputException("there is nothing to learn from: name a text with --text, or let the model write with --own-tokens N");
            if (file is null && parsed.GetResult(tokens) is { Implicit: false })
                throw new UserInputException("--max-tokens limits what is read of --text, which is not given");
            if (parsed.GetValue(output) is { } given)
                OutputFiles.CheckReplaceable("--out", given);
            string model = parsed.GetRequiredValue(directory), to = parsed.GetValue(output) ?? Path.Combine(model, PredictorFile.DefaultName);
            var options = load.Read(parsed);
            var read = file is null ? [] : TraceRun.Sequences(model, TraceRun.ReadText(file), most);
            if (file is not null && read.Sum(static sequence => sequence.Length) is var count and < LeastTokens)
                throw new UserInputException($"--text has {count} tokens; a predictor needs {LeastTokens} or more");
            var pieces = written > 0 ? TraceRun.OfSequences(model, OwnText.Write(model, written, Seed, options), options) : [];
            var (predictor, learned, kept) = Learn(read.Count == 0 ? pieces : pieces.Concat(TraceRun.OfSequences(model, read, options, int.MaxValue)));
            var recalls = RecallMeter.Measure(new TraceReplay(kept, 1), predictor, LoadThreshold.Initial);
            PredictorFile.Write(to, predictor);
            Print(parsed.InvocationConfiguration.Output, to, learned, kept.Tokens.Length, recalls);
            return 0;
        });
        return command;
    }

    /// <summary>Learns from all but the end of the last.</summary>
    private static (RoutingPredictor Predictor, int Learned, RoutingTrace Kept) Learn(IEnumerable<RoutingTrace> pieces)
    {
        RoutingPredictor? predictor = null;
        RoutingTrace? last = null;
        var learned = 0;
        foreach (var piece in pieces)
        {
            if (last is not null)
                Teach(last);
            last = piece;
        }

        var held = last!.Tokens.Length / HeldOut;
        Teach(last.Slice(0, last.Tokens.Length - held));
        return (predictor!, learned, last.Slice(last.Tokens.Length - held, held));

        void Teach(RoutingTrace trace)
        {
            predictor = PredictorTraining.Run(trace, predictor);
            learned += trace.Tokens.Length;
        }
    }

    private static void Print(TextWriter to, string file, int learned, int held, IReadOnlyList<HorizonRecall> recalls)
    {
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{file}: learned from {learned} tokens; of what the {held} after them used it foresaw"));
        foreach (var recall in recalls)
        {
            to.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"  {(recall.Distance == 0 ? "the first layer" : $"{recall.Distance} layers ahead"),-18} {100 * recall.Recall,5:F1}% with {recall.SetSize:F1} experts a layer, {100 * recall.Precision:F1}% of them used"));
        }
    }
}
