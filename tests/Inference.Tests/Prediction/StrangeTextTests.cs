using System.CommandLine;
using System.Text.Json.Nodes;
using Moebius.Crds;
using Moebius.Inference.Simulation;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Tests.Prediction;

/// <summary>Texts with a token that the tokenizer knows and the model does not, given to commands.</summary>
public sealed class StrangeTextTests : IDisposable
{
    private readonly TemporaryModel _model = TestModels.Copy(TestModels.Demonstration()!);
    private readonly string _text;

    public StrangeTextTests()
    {
        var file = Path.Combine(_model.Path, "tokenizer.json");
        var tokenizer = JsonNode.Parse(File.ReadAllText(file))!;
        tokenizer["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = 5000, ["content"] = "<strange>" });
        File.Delete(file);
        File.WriteAllText(file, tokenizer.ToJsonString());
        _text = Path.Combine(_model.Path, "text.txt");
        File.WriteAllText(_text, "It was the custom of the family <strange> to sit together in the evening.");
    }

    public void Dispose() => _model.Dispose();

    [Theory]
    [InlineData("trace", "--text", "text.txt")]
    [InlineData("trace", "--prompt", "a <strange> b")]
    [InlineData("predictor", "--text", "text.txt")]
    [InlineData("perplexity", "--text", "text.txt")]
    public void Are_refused_by_name(string command, string option, string value)
    {
        var root = new RootCommand();
        foreach (var one in PlannerCommands.Create().Concat(InferenceModelCommands.Create()))
            root.Add(one);
        string[] output = command == "perplexity" ? [] : ["--out", Path.Combine(_model.Path, "out")];
        var given = option == "--text" ? _text : value;
        var error = Assert.Throws<UserInputException>(() => root.Parse([command, _model.Path, option, given, .. output]).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false }));
        Assert.StartsWith(option, error.Message, StringComparison.Ordinal);
        Assert.EndsWith(" has the token 5000: the tokenizer knows it, but the model's token ids end at 4095", error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_model.Path, "out")));
    }

    [Theory]
    [InlineData(" evening evening evening", "2", "--prompt has ", "; --max-tokens, which counts them, is 2: raise it, or shorten the prompt")]
    [InlineData(null, null, "--prompt has 300 tokens", "; --max-tokens, which counts them, is 256 where it is not given: raise it, or shorten the prompt")]
    public void A_prompt_longer_than_what_is_to_be_recorded_is_refused(string? prompt, string? most, string begin, string end)
    {
        var root = new RootCommand();
        foreach (var one in PlannerCommands.Create())
            root.Add(one);
        string[] limit = most is null ? [] : ["--max-tokens", most];
        var error = Assert.Throws<UserInputException>(() => root.Parse(["trace", _model.Path, "--prompt", prompt ?? string.Concat(Enumerable.Repeat(" the", 300)), .. limit, "--out", Path.Combine(_model.Path, "out")]).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false }));
        Assert.StartsWith(begin, error.Message, StringComparison.Ordinal);
        Assert.EndsWith(end, error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_model.Path, "out")));
    }

    [Fact]
    public void A_trace_of_a_prompt_cannot_be_longer_than_the_context()
    {
        var root = new RootCommand();
        foreach (var one in PlannerCommands.Create())
            root.Add(one);
        var error = Assert.Throws<UserInputException>(() => root.Parse(["trace", _model.Path, "--prompt", "It was", "--max-tokens", "2049", "--out", Path.Combine(_model.Path, "out")]).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false }));
        Assert.Equal("--max-tokens is 2049; with --prompt it must be at most 2048, the model's context", error.Message);
    }
}
