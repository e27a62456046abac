using System.Net;
using System.Text.Json.Nodes;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.Server;

/// <summary>A tokenizer with a token that the model has no embedding for.</summary>
[Trait("Category", "Component")]
public sealed class StrangeTokenTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public StrangeTokenTests()
    {
        File.WriteAllText(Path.Combine(_directory.Path, "chat_template.jinja"), "{% for m in messages %}{{ m.content }}{% endfor %}");
        var tokenizer = JsonNode.Parse(File.ReadAllText(Path.Combine(Fixtures.Model, "tokenizer.json")))!;
        tokenizer["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = ToyModel.Vocabulary, ["content"] = "<strange>" });
        File.WriteAllText(Path.Combine(_directory.Path, "tokenizer.json"), tokenizer.ToJsonString());
    }

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("v1/completions", """ "prompt":"a <strange> b" """, "prompt")]
    [InlineData("v1/completions", """ "prompt":["a","<strange>"] """, "prompt[1]")]
    [InlineData("v1/chat/completions", """ "messages":[{"role":"user","content":"<strange>"}] """, "messages")]
    public async Task A_text_with_it_is_refused_and_nobody_else_s(string path, string prompt, string field)
    {
        await using var harness = await ServerHarness.StartAsync(ServerHarness.Options with { ModelDirectory = _directory.Path });
        var (status, body, _) = await harness.PostAsync(path, $$"""{"model":"toy","max_tokens":2,{{prompt}}}""");
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Equal(field, (string?)body["error"]!["param"]);
        Assert.Equal($"'{field}' has the token {ToyModel.Vocabulary}: the tokenizer knows it, but the model's token ids end at {ToyModel.Vocabulary - 1}.", (string?)body["error"]!["message"]);
        Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("v1/completions", """{"model":"toy","max_tokens":2,"prompt":"a b"}""")).Status);
    }
}
