using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;
using Moebius.Inference.Text;

namespace Moebius.Inference.Verify;

/// <summary>The command line of the models: <c>verify</c> and <c>perplexity</c>.</summary>
public static class InferenceModelCommands
{
    /// <summary>
    /// The commands to add to <c>moebius</c>. They throw <see cref="UserInputException"/> on bad input.
    /// </summary>
    public static IEnumerable<Command> Create() => [Verify(), Perplexity()];

    private static Command Verify()
    {
        var directory = new Argument<string>("DIR") { Description = "Model directory in Hub layout, with expected.safetensors." };
        var common = new CommonOptions();
        var command = new Command("verify", "Compare a model's logits and greedy tokens with the reference outputs in its directory. Exits 1 where they differ; with --quantize, where the predictions differ by more than that should make.") { directory };
        common.AddTo(command);
        command.SetAction(parsed =>
        {
            var json = common.IsJson(parsed);
            var result = ModelVerifier.Verify(parsed.GetRequiredValue(directory), common.Load(parsed));
            parsed.InvocationConfiguration.Output.WriteLine(json ? JsonSerializer.Serialize(result, JsonStyles.Printed) : Text(result));
            return result.Passed ? 0 : 1;
        });
        return command;
    }

    private static Command Perplexity()
    {
        var directory = new Argument<string>("MODEL") { Description = "Model directory in Hub layout, with tokenizer.json." };
        var text = new Option<string>("--text") { Description = "UTF-8 text to predict.", HelpName = "FILE", Required = true };
        var window = new Option<int?>("--window") { Description = "Most tokens the model sees at once. Default: its context, at most 2048.", HelpName = "N" };
        var stride = new Option<int?>("--stride") { Description = "Tokens from the beginning of a window to that of the next. Default: half the window.", HelpName = "N" };
        var common = new CommonOptions();
        var command = new Command("perplexity", "Measure how well a model predicts a text, over sliding windows.") { directory, text, window, stride };
        common.AddTo(command);
        command.SetAction(parsed =>
        {
            var json = common.IsJson(parsed);
            var result = PerplexityMeter.Measure(
                parsed.GetRequiredValue(directory), parsed.GetRequiredValue(text), parsed.GetValue(window), parsed.GetValue(stride), common.Load(parsed), TimeProvider.System);
            parsed.InvocationConfiguration.Output.WriteLine(json ? JsonSerializer.Serialize(result, JsonStyles.Printed) : Text(result));
            return 0;
        });
        return command;
    }

    private static string Text(VerifyResult r) => string.Create(CultureInfo.InvariantCulture, $"""
        {r.Directory} ({r.Architecture}): {(r.Passed ? "passed" : "FAILED")}
        {Judged(r)}
        greedyIdentical  {(r.GreedyIdentical ? "true" : "false")} ({r.GreedyTokens} tokens)
        expert budget    {r.ExpertBudgetBytes} bytes, {r.ExpertResidentBytes} in use
        expert uses      {r.ExpertHits} hits, {r.ExpertMisses} misses, {r.ExpertEvictions} evictions
        experts from     {r.ExpertTier}
        """);

    private static string Judged(VerifyResult r) => r.DivergenceTolerance is { } most
        ? string.Create(CultureInfo.InvariantCulture, $"""
            divergence       {r.Divergence:0.00e-0} nats a token (at most {most:0e-0} with experts in {r.Quantization}, which change results)
            maxAbsError      {r.MaxAbsError:0.00e-0}
            """)
        : string.Create(CultureInfo.InvariantCulture, $"maxAbsError      {r.MaxAbsError:0.00e-0} (at most {r.Tolerance:0e-0})");

    private static string Text(PerplexityResult r) => string.Create(CultureInfo.InvariantCulture, $"""
        {r.Directory} ({r.Architecture}) on {r.Text}
        perplexity       {r.Perplexity:0.0000} ({r.NegativeLogLikelihood:0.00000} nats a token)
        tokens           {r.ScoredTokens} scored of {r.Tokens}, window {r.Window}, stride {r.Stride}
        experts          {(r.Quantization == "none" ? "as in the checkpoint" : r.Quantization)}
        seconds          {r.Seconds:0.00} ({r.ScoredTokens / r.Seconds:0} tokens/s)
        expert uses      {r.ExpertHits} hits, {r.ExpertMisses} misses, budget {r.ExpertBudgetBytes} bytes
        """);

    /// <summary>The options that every command which loads a model has.</summary>
    private sealed class CommonOptions
    {
        private readonly ExpertFlags _experts = new();

        private readonly Option<int> _threads = new("--threads")
        {
            Description = "Compute threads.",
            DefaultValueFactory = _ => ModelLoadOptions.DefaultThreads,
        };

        private readonly OutputFormat _output = new();

        public void AddTo(Command command)
        {
            _experts.AddTo(command);
            command.Add(_threads);
            command.Add(_output);
        }

        public bool IsJson(ParseResult parsed) => _output.IsJson(parsed);

        public ModelLoadOptions Load(ParseResult parsed) =>
            _experts.Read(parsed).Over(new ExpertSpec(), "defaults").Apply(new ModelLoadOptions { Threads = parsed.GetValue(_threads) });
    }
}
