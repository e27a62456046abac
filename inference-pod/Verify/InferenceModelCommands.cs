using System.CommandLine;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Inference.Models;

namespace Moebius.Inference.Verify;

/// <summary>The command line of the models: <c>verify</c>.</summary>
public static class InferenceModelCommands
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    /// <summary>
    /// The commands to add to <c>moebius</c>. They throw <see cref="UserInputException"/> on bad input.
    /// </summary>
    public static IEnumerable<Command> Create() => [Verify()];

    private static Command Verify()
    {
        var directory = new Argument<string>("DIR") { Description = "Model directory in Hub layout, with expected.safetensors." };
        var budget = new Option<string?>("--expert-budget")
        {
            Description = "Limit of the memory that holds experts: bytes or a quantity such as 4Mi. All experts when absent.",
            HelpName = "BYTES",
        };
        var threads = new Option<int>("--threads")
        {
            Description = "Compute threads.",
            DefaultValueFactory = _ => Environment.ProcessorCount,
        };
        var output = new Option<string>("--output", "-o") { Description = "text or json.", DefaultValueFactory = _ => "text" };
        var command = new Command("verify", "Compare a model's logits and greedy tokens with the reference outputs in its directory. Exits 1 where they differ.")
        {
            directory,
            budget,
            threads,
            output,
        };
        command.SetAction(parsed =>
        {
            string format = parsed.GetRequiredValue(output);
            if (format is not ("text" or "json"))
                throw new UserInputException($"--output is \"{format}\"; it must be text or json");
            var result = ModelVerifier.Verify(parsed.GetRequiredValue(directory), new ModelLoadOptions
            {
                ExpertBudgetBytes = ParseBudget(parsed.GetValue(budget)),
                Threads = parsed.GetValue(threads),
            });
            var writer = parsed.InvocationConfiguration.Output;
            writer.WriteLine(format == "json" ? JsonSerializer.Serialize(result, s_json) : Text(result));
            return result.Passed ? 0 : 1;
        });
        return command;
    }

    private static long? ParseBudget(string? text) => text is null ? null
        : ByteQuantity.TryParse(text, out long bytes) ? bytes
        : throw new UserInputException($"--expert-budget is \"{text}\"; it must be a whole number of bytes, for example 4194304 or 4Mi");

    private static string Text(VerifyResult r) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"""
        {r.Directory} ({r.Architecture}): {(r.Passed ? "passed" : "FAILED")}
        maxAbsError      {r.MaxAbsError:0.00e-0} (at most {r.Tolerance:0e-0})
        greedyIdentical  {(r.GreedyIdentical ? "true" : "false")} ({r.GreedyTokens} tokens)
        expert budget    {r.ExpertBudgetBytes} bytes, {r.ExpertResidentBytes} in use
        expert uses      {r.ExpertHits} hits, {r.ExpertMisses} misses, {r.ExpertEvictions} evictions
        """);
}
