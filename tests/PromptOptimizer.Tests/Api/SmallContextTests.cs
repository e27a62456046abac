namespace Moebius.PromptOptimizer.Tests.Api;

/// <summary>Models whose context is too short for a question and the longest answer.</summary>
public sealed class SmallContextTests : ScriptedServiceTests
{
    [Theory]
    [InlineData("'max_completion_tokens' is 1200: after the 920 tokens of 'messages', 1128 of 2048 are left.", "context_length_exceeded")]
    [InlineData("This model's maximum context length is 2048 tokens. However, you requested 2120 tokens.", null)]
    public async Task An_endpoint_with_less_room_than_asked_for_is_asked_for_what_is_left(string message, string? code)
    {
        Model.Override = (call, _) => Task.FromResult(call.Body.ContainsKey("max_completion_tokens") ? new ScriptedReply(message, 400, Code: code) : null);
        await using var service = await StartAsync();
        Assert.Equal("Succeeded", (string?)(await service.RunAsync(new { prompt = Lion }))["state"]);
    }

    [Fact]
    public async Task A_question_that_does_not_fit_at_all_fails_the_job_with_the_endpoints_words()
    {
        Model.Override = (_, _) => Task.FromResult<ScriptedReply?>(new("'messages' has 2100 tokens: with at least one token of output, at most 2047 fit.", 400, Code: "context_length_exceeded"));
        await using var service = await StartAsync();
        var failure = (await service.RunAsync(new { prompt = Lion }))["failure"]!;
        Assert.Equal("ModelRejected", (string?)failure["reason"]);
        Assert.Contains("at most 2047 fit", (string?)failure["message"], StringComparison.Ordinal);
        Assert.Equal(2, Model.Count("intent-inference"));
    }
}
