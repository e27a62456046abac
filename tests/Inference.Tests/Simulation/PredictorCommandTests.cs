using System.CommandLine;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Simulation;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Tests.Simulation;

[Trait("Category", "Component")]
public sealed class PredictorCommandTests : IDisposable
{
    private readonly TemporaryDirectory _folder = new();
    private readonly string _text, _model;

    public PredictorCommandTests()
    {
        _model = TestModels.Demonstration() ?? throw new DirectoryNotFoundException("samples/models/austen-moe is not above the tests");
        _text = Path.Combine(_folder.Path, "text.txt");
        File.WriteAllText(_text, string.Concat(Enumerable.Repeat("It was the custom of the family to sit together in the evening. ", 60)));
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_policy_begins_with_what_was_learned_and_the_output_stays_the_same()
    {
        using var model = TestModels.Copy(_model);
        var untaught = Read(model.Path, null);
        var output = Run(model.Path, "--text", _text, "--max-tokens", "600");
        var file = Path.Combine(model.Path, PredictorFile.DefaultName);
        Assert.StartsWith($"{file}: learned from 540 tokens", output, StringComparison.Ordinal);
        Assert.Matches(@"\n  5 layers ahead +[0-9.]+% with [0-9.]+ experts a layer, [0-9.]+% of them used\n", output);
        Assert.Equal(untaught, Read(model.Path, null));
        Assert.Equal(untaught, Read(_model, file));
        using (var served = Load(model.Path, null))
            Assert.EndsWith($"; the predictor begins with {file}", served.Info.ExpertTier, StringComparison.Ordinal);

        // " the" was read often: what it uses is known before the first layer, as the bare pre-gate cannot.
        var token = Tokenizer.Load(_model).Encode("of the", false)[^1];
        Assert.True(Likeliest(file, token) > 0.9f, $"{Likeliest(file, token)}");
        Assert.True(Likeliest(null, token) < 0.2f, $"{Likeliest(null, token)}");
    }

    [Fact]
    public void Without_a_text_a_predictor_learns_from_what_the_model_writes_itself()
    {
        string[] files = [Path.Combine(_folder.Path, "own"), Path.Combine(_folder.Path, "again")];
        foreach (var file in files)
        {
            var output = Run(_model, "--own-tokens", "1500", "--out", file);
            var learned = int.Parse(output.Split("learned from ")[1].Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
            Assert.InRange(learned, 1350, 1400);
        }

        Assert.Equal(File.ReadAllBytes(files[0]), File.ReadAllBytes(files[1]));
        var token = Tokenizer.Load(_model).Encode("of the", false)[^1];
        Assert.True(Likeliest(files[0], token) > 2 * Likeliest(null, token), $"{Likeliest(files[0], token)}");

        var both = Path.Combine(_folder.Path, "both");
        Assert.Contains("of what the 60 after them used", Run(_model, "--own-tokens", "1500", "--text", _text, "--max-tokens", "600", "--out", both), StringComparison.Ordinal);
    }

    [Fact]
    public void A_predictor_of_another_model_or_a_damaged_one_is_refused_wherever_it_lies()
    {
        var file = Path.Combine(_folder.Path, "other");
        PredictorFile.Write(file, new RoutingPredictor(new RoutingShape(2, 8, 2, 32)));
        Assert.Contains("2 layers, 8 experts", Assert.Throws<UserInputException>(() => Read(_model, file)).Message, StringComparison.Ordinal);
        using var model = TestModels.Copy(_model);
        var beside = model.File_(PredictorFile.DefaultName);
        File.WriteAllBytes(beside, [1, 2, 3]);
        Assert.Contains(beside, Assert.Throws<UserInputException>(() => Read(model.Path, null)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Where_all_experts_fit_a_named_predictor_is_checked_and_the_tier_says_that_nothing_is_loaded_ahead()
    {
        var file = Path.Combine(_folder.Path, "resident");
        PredictorFile.Write(file, new RoutingPredictor(new RoutingShape(2, 8, 2, 32)));
        var options = new ModelLoadOptions { Threads = 1, PrefetchSpec = new PrefetchSpec { Mode = PrefetchMode.Adaptive } };
        Assert.Contains("2 layers, 8 experts", Assert.Throws<UserInputException>(() => ModelLoader.Load(_model, options with { Predictor = file })).Message, StringComparison.Ordinal);
        using var model = ModelLoader.Load(_model, options);
        Assert.EndsWith("; all are resident, so that prefetch Adaptive has nothing to do", model.Info.ExpertTier, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        Assert.Equal("--max-tokens is 99; it must be 100 or more", Refused("--text", _text, "--max-tokens", "99"));
        Assert.Equal("--own-tokens is 99; it must be 100 or more, or 0 for none", Refused("--own-tokens", "99"));
        Assert.StartsWith("there is nothing to learn from: name a text with --text", Refused(), StringComparison.Ordinal);
        Assert.Equal("--max-tokens limits what is read of --text, which is not given", Refused("--own-tokens", "100", "--max-tokens", "100"));
        var few = Path.Combine(_folder.Path, "few.txt");
        File.WriteAllText(few, "Too little.");
        Assert.EndsWith("tokens; a predictor needs 100 or more", Refused("--text", few), StringComparison.Ordinal);
        Assert.Contains("cannot be read", Refused("--text", few + "x"), StringComparison.Ordinal);
        Assert.Equal("--out: /none/p cannot be written: there is no directory /none", Refused("--text", _text, "--out", "/none/p"));
    }

    /// <summary>Half of the experts fit.</summary>
    private static ICausalModel Load(string directory, string? predictor) => ModelLoader.Load(directory, new ModelLoadOptions
    {
        ExpertBudgetBytes = 96 * 61440,
        Threads = 1,
        PrefetchSpec = new PrefetchSpec { Mode = PrefetchMode.Fixed, Horizon = 3 },
        Predictor = predictor,
    });

    /// <summary>Reads a text token by token; the last logits.</summary>
    private static float[] Read(string directory, string? predictor)
    {
        using var model = Load(directory, predictor);
        using var kv = model.CreateSequence();
        float[] logits = [];
        foreach (var token in Tokenizer.Load(directory).Encode("The family had been used to sit in the evening with their mother.", false))
            logits = model.Forward([new SequenceChunk(kv, new[] { token }, LogitsFor.Last)])[0];
        return logits;
    }

    /// <summary>The highest probability that a policy's predictor gives an expert of the first layer for a token.</summary>
    private static float Likeliest(string? file, int token)
    {
        var policy = (ExpertFlowPolicy)PrefetchPolicies.Create(new PrefetchSpec { Mode = PrefetchMode.Adaptive }, new RoutingShape(6, 32, 4, 4096), file)!;
        var use = new float[32];
        policy.Predictor.Begin([token]);
        policy.Predictor.Predict(null, 1, use);
        return use.Max();
    }

    private string Refused(params string[] arguments) => Assert.Throws<UserInputException>(() => Run(_model, arguments)).Message;

    private static string Run(string model, params string[] arguments)
    {
        var root = new RootCommand();
        foreach (var command in PlannerCommands.Create())
            root.Add(command);
        using var output = new StringWriter();
        Assert.Equal(0, root.Parse(["predictor", model, "--threads", "1", .. arguments]).Invoke(new InvocationConfiguration { Output = output, EnableDefaultExceptionHandler = false }));
        return output.ToString();
    }
}
