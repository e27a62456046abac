using System.Net;
using System.Text.Json.Nodes;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.Server;

/// <summary>What is just within a limit, and what is just beyond it.</summary>
[Trait("Category", "Component")]
public class LimitTests
{
    [Fact]
    public async Task A_prompt_and_its_output_may_fill_the_context_and_no_more()
    {
        await using var harness = await ServerHarness.StartAsync();
        var context = (int)JsonNode.Parse(await harness.GetAsync("v1/models/toy"))!["max_model_len"]!;
        Assert.Equal((HttpStatusCode.OK, null), await AskAsync(harness, context - 2, ",\"max_tokens\":2"));
        Assert.Equal((HttpStatusCode.BadRequest, "max_tokens"), await AskAsync(harness, context - 2, ",\"max_tokens\":3"));
        Assert.Equal((HttpStatusCode.OK, null), await AskAsync(harness, context - 1, ",\"max_tokens\":1"));
        // Without any room for output it is the prompt that is too long, whatever the output may be.
        Assert.Equal((HttpStatusCode.BadRequest, "prompt"), await AskAsync(harness, context, ",\"max_tokens\":1"));
        Assert.Equal((HttpStatusCode.BadRequest, "prompt"), await AskAsync(harness, context, ""));
    }

    [Fact]
    public async Task The_last_token_id_of_the_model_is_taken_and_the_next_is_not()
    {
        await using var harness = await ServerHarness.StartAsync();
        Assert.Equal(HttpStatusCode.OK, (await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":[1,{{ToyModel.Vocabulary - 1}}],"max_tokens":1}""")).Status);
        var (status, body, _) = await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":[1,{{ToyModel.Vocabulary}}],"max_tokens":1}""");
        Assert.Equal((HttpStatusCode.BadRequest, "prompt[1]"), (status, (string?)body["error"]!["param"]));
    }

    [Fact]
    public async Task A_completion_that_names_no_limit_has_sixteen_tokens()
    {
        await using var harness = await ServerHarness.StartAsync();
        var (_, body, _) = await harness.PostAsync("v1/completions", """{"model":"toy","prompt":[1,2],"temperature":0,"ignore_eos":true}""");
        Assert.Equal((16, "length"), ((int)body["usage"]!["completion_tokens"]!, (string?)body["choices"]![0]!["finish_reason"]));
    }

    private static async Task<(HttpStatusCode Status, string? Field)> AskAsync(ServerHarness harness, int tokens, string more)
    {
        var (status, body, _) = await harness.PostAsync("v1/completions", $$"""{"model":"toy","prompt":[{{string.Join(',', Enumerable.Repeat(7, tokens))}}]{{more}}}""");
        return (status, (string?)body["error"]?["param"]);
    }
}
