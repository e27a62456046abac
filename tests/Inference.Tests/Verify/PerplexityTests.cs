using System.Text.Json;
using Moebius.Crds;
using Moebius.Inference.Models;
using Moebius.Inference.Text.Tokenization;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Tests.Verify;

[Trait("Category", "Component")]
public sealed class PerplexityTests : IDisposable
{
    private const string Prose = "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.";

    private readonly TemporaryModel _model = TestModels.Copy(TestModels.Golden("qwen3_moe"));

    public PerplexityTests()
    {
        // The miniature models have no tokenizer: this one gives each letter of the text a token.
        var vocabulary = Prose.Select(c => c == ' ' ? "\u0120" : c.ToString()).Distinct().Select((text, id) => (text, id)).ToDictionary(p => p.text, p => p.id);
        File.WriteAllText(_model.File_("tokenizer.json"), JsonSerializer.Serialize(new
        {
            version = "1.0",
            added_tokens = Array.Empty<object>(),
            pre_tokenizer = new { type = "ByteLevel", add_prefix_space = false, trim_offsets = true, use_regex = true },
            decoder = new { type = "ByteLevel", add_prefix_space = false, trim_offsets = true, use_regex = true },
            model = new { type = "BPE", vocab = vocabulary, merges = Array.Empty<string>() },
        }));
        File.WriteAllText(TextFile, Prose);
    }

    private string TextFile => _model.File_("text.txt");

    public void Dispose() => _model.Dispose();

    [Theory]
    [InlineData(100, 16, 8)]
    [InlineData(100, 16, 1)]
    [InlineData(97, 16, 15)]
    [InlineData(5, 16, 8)]
    [InlineData(17, 16, 8)]
    public void Overlapping_windows_score_every_token_but_the_first_once(int tokens, int window, int stride)
    {
        var windows = EvaluationWindows.Plan(tokens, window, stride).ToList();
        Assert.Equal(Enumerable.Range(1, tokens - 1), windows.SelectMany(w => Enumerable.Range(w.Scored, w.End - w.Scored)));
        Assert.All(windows, w => Assert.True(w.Begin < w.Scored && w.End - w.Begin <= window));
    }

    [Fact]
    public void A_perplexity_that_is_no_number_is_printed()
    {
        // The head's weights are finite, and their products with hidden states are not.
        _model.EditTensors(tensors => tensors["lm_head.weight"] = tensors["lm_head.weight"] with { Type = "F32", Bytes = [.. Enumerable.Repeat(BitConverter.GetBytes(3e38f), (int)(tensors["lm_head.weight"].Shape[0] * tensors["lm_head.weight"].Shape[1])).SelectMany(bytes => bytes)] });
        var (code, output) = ModelCommands.Run("perplexity", _model.Path, "--text", TextFile, "--threads", "1", "-o", "json");
        using var json = JsonDocument.Parse(output);
        Assert.Equal(0, code);
        Assert.Equal(JsonValueKind.String, json.RootElement.GetProperty("perplexity").ValueKind);
    }

    [Fact]
    public void Windows_side_by_side_leave_out_the_first_token_of_each()
    {
        EvaluationWindow[] expected = [new(0, 4, 1), new(4, 8, 5)];
        Assert.Equal(expected, EvaluationWindows.Plan(9, 4, 4));
    }

    [Theory]
    [InlineData(200, 200)]
    [InlineData(16, 16)]
    [InlineData(16, 5)]
    public void The_figure_is_that_of_each_window_computed_whole(int window, int stride)
    {
        int[] tokens = [.. Tokenizer.Load(_model.Path).Encode(Prose, true)];
        Assert.Equal(Prose.Length, tokens.Length);
        double sum = 0;
        var count = 0;
        using (var model = TestModels.Load(_model.Path))
        {
            var vocabulary = model.Info.VocabularySize;
            for (int begin = 0, scored = 0; scored < tokens.Length; begin += stride)
            {
                var end = Math.Min(tokens.Length, begin + window);
                using var kv = model.CreateSequence();
                var logits = model.Forward([new SequenceChunk(kv, tokens.AsMemory(begin, end - begin), LogitsFor.All)])[0];
                for (var at = Math.Max(scored, begin + 1); at < end; at++, count++)
                {
                    double[] row = [.. logits.Skip((at - 1 - begin) * vocabulary).Take(vocabulary).Select(l => (double)l)];
                    sum += Math.Log(row.Sum(Math.Exp)) - row[tokens[at]];
                }
                scored = end;
            }
        }
        using var json = JsonDocument.Parse(Run("--window", $"{window}", "--stride", $"{stride}", "-o", "json").Output);
        Assert.Equal(Math.Exp(sum / count), json.RootElement.GetProperty("perplexity").GetDouble(), 1e-3);
        Assert.Equal(count, json.RootElement.GetProperty("scoredTokens").GetInt32());
        Assert.Equal(tokens.Length, json.RootElement.GetProperty("tokens").GetInt32());
    }

    [Fact]
    public void A_small_expert_budget_changes_nothing()
    {
        var smallest = TestModels.SmallestBudget(_model.Path);
        using var all = JsonDocument.Parse(Run("-o", "json").Output);
        using var few = JsonDocument.Parse(Run("-o", "json", "--expert-budget", $"{smallest}").Output);
        Assert.Equal(all.RootElement.GetProperty("perplexity").GetDouble(), few.RootElement.GetProperty("perplexity").GetDouble());
        Assert.True(few.RootElement.GetProperty("expertMisses").GetInt64() > 0);
        Assert.Equal(smallest, few.RootElement.GetProperty("expertBudgetBytes").GetInt64());
    }

    [Theory]
    [InlineData("int8", 0.01)]
    [InlineData("int4", 0.1)]
    public void Quantised_experts_cost_little_quality_and_save_memory(string quantize, double most)
    {
        using var exact = JsonDocument.Parse(Run("-o", "json").Output);
        using var coarse = JsonDocument.Parse(Run("-o", "json", "--quantize", quantize).Output);
        double before = exact.RootElement.GetProperty("perplexity").GetDouble(), after = coarse.RootElement.GetProperty("perplexity").GetDouble();
        Assert.NotEqual(before, after);
        Assert.InRange(after / before, 1 - most, 1 + most);
        Assert.True(coarse.RootElement.GetProperty("expertBudgetBytes").GetInt64() < exact.RootElement.GetProperty("expertBudgetBytes").GetInt64() / 2);
        Assert.Equal(quantize, coarse.RootElement.GetProperty("quantization").GetString());
        Assert.Contains($"experts          {quantize}", Run("--quantize", quantize).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Equal("--quantize is \"q4\"; it must be none, int8 or int4", Refused("--quantize", "q4"));
        Assert.StartsWith("--window is 1;", Refused("--window", "1"), StringComparison.Ordinal);
        Assert.StartsWith("--window is 999999;", Refused("--window", "999999"), StringComparison.Ordinal);
        Assert.StartsWith("--stride is 17; it must be from 1 to the window of 16", Refused("--window", "16", "--stride", "17"), StringComparison.Ordinal);
        Assert.StartsWith("--stride is 0;", Refused("--stride", "0"), StringComparison.Ordinal);
        File.WriteAllText(TextFile, "I");
        Assert.Contains("has 1 tokens; at least 2", Refused(), StringComparison.Ordinal);
        File.WriteAllText(TextFile, "a strange man");
        File.WriteAllText(_model.File_("tokenizer.json"), File.ReadAllText(_model.File_("tokenizer.json")).Replace("\"added_tokens\":[]", "\"added_tokens\":[{\"id\":9999,\"content\":\"strange\"}]", StringComparison.Ordinal));
        Assert.EndsWith("has the token 9999: the tokenizer knows it, but the model's token ids end at 383", Refused(), StringComparison.Ordinal);
        File.WriteAllBytes(TextFile, [0x49, 0x74, 0xFF]);
        Assert.EndsWith("is not UTF-8 at byte 2", Refused(), StringComparison.Ordinal);
        File.Delete(TextFile);
        Assert.Contains("cannot be read", Refused(), StringComparison.Ordinal);
    }

    private string Refused(params string[] arguments) => Assert.Throws<UserInputException>(() => Run(arguments)).Message;

    private (int Code, string Output) Run(params string[] arguments) =>
        ModelCommands.Run(["perplexity", _model.Path, "--text", TextFile, "--threads", "1", .. arguments]);
}
