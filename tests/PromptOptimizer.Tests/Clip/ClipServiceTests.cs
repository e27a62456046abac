using System.Net;
using System.Text.Json.Nodes;
using Moebius.Crds;
using Moebius.PromptOptimizer.Tests.Api;
using SkiaSharp;

namespace Moebius.PromptOptimizer.Tests.Clip;

/// <summary>The service with a model that knows colours, and an endpoint that makes images of one colour.</summary>
public sealed class ClipServiceTests : ScriptedServiceTests
{
    private string ClipRoot => Path.Combine(Store.Folder!, "models");

    [Fact]
    public async Task Rounds_are_kept_by_how_their_image_fits_the_request()
    {
        Draw(SKColors.Blue, SKColors.Red, SKColors.Blue);
        await using var service = await StartAsync();
        var job = await service.RunAsync(new { prompt = "a red ball" });

        Assert.Equal("Succeeded", (string?)job["state"]);
        var rounds = job["rounds"]!.AsArray();
        // The first draft leaves the request out; the second has it, and its image, too.
        Assert.Equal([0, 100], rounds.Select(round => (int)round!["scores"]!["image"]!["percent"]!));
        Assert.Equal([0.0, 1.0], rounds.Select(round => (double)round!["scores"]!["image"]!["similarity"]!), (left, right) => Math.Abs(left - right) < 1e-3);
        Assert.Equal([false, true], rounds.Select(round => (bool)round!["kept"]!));
        Assert.Equal(2, (int)job["result"]!["round"]!);
        Assert.Contains("the image shows little of what was asked for", rounds[0]!["scores"]!["issues"]!.ToJsonString(), StringComparison.Ordinal);
        Assert.DoesNotContain("the image shows little", rounds[1]!["scores"]!["issues"]!.ToJsonString(), StringComparison.Ordinal);
        Assert.Contains("the image shows little of what was asked for", Model.Calls.Last(call => call.Agent == "scene-and-style").Input.ToJsonString(), StringComparison.Ordinal);
        Assert.Contains("clip-scorer", await service.Client.GetStringAsync($"/v1/jobs/{job["id"]}/events"), StringComparison.Ordinal);
        Assert.Contains("moebius_prompt_call_duration_seconds_count{agent=\"clip-scorer\"} 2", await service.Client.GetStringAsync("/metrics"), StringComparison.Ordinal);
    }

    /// <summary>Two drafts of equal words: the one whose image shows more of the request is the result.</summary>
    [Fact]
    public async Task A_round_whose_image_shows_less_is_dropped()
    {
        Draw(new SKColor(80, 0, 240), SKColors.Blue);
        var draw = Model.Override;
        Model.Override = async (call, cancel) => call.Agent == "scene-and-style"
            ? new(ScriptedEndpoint.Draft("A wide view of a red ball, with warm light falling across the scene, soft colours, fine detail and a calm background.").ToJsonString())
            : await draw(call, cancel);
        await using var service = await StartAsync("rounds: { max: 2, acceptScorePercent: 95 }");
        var job = await service.RunAsync(new { prompt = "a red ball" });
        var rounds = job["rounds"]!.AsArray();
        Assert.Equal([79, 0], rounds.Select(round => (int)round!["scores"]!["image"]!["percent"]!));
        Assert.Equal([true, false], rounds.Select(round => (bool)round!["kept"]!));
        Assert.Equal(1, (int)job["result"]!["round"]!);
        // 40 of 100 are the image's.
        Assert.Equal(31, (int)rounds[0]!["scores"]!["percent"]! - (int)rounds[1]!["scores"]!["percent"]!, 1.0);
    }

    [Fact]
    public async Task After_feedback_the_image_is_compared_with_the_prompt_that_follows_it()
    {
        Draw(SKColors.Red, SKColors.Red, SKColors.Blue);
        await using var service = await StartAsync("rounds: { max: 2, acceptScorePercent: 100 }");
        var id = (string)(await service.RunAsync(new { prompt = "a red ball" }))["id"]!;
        Model.Override = (call, _) => Task.FromResult(call.Agent switch
        {
            "image" => Picture(SKColors.Blue),
            "feedback-tuning" => new ScriptedReply(new JsonObject { ["draft"] = ScriptedEndpoint.Draft("A blue ball."), ["changes"] = new JsonArray("its colour") }.ToJsonString()),
            _ => null,
        });
        await service.PostAsync($"/v1/jobs/{id}/feedback", new { feedback = "make it blue instead of red" }, HttpStatusCode.Accepted);
        var last = (await service.EndAsync(id))["rounds"]!.AsArray().Last();
        Assert.Equal(100, (int)last!["scores"]!["image"]!["percent"]!);
    }

    [Fact]
    public async Task A_request_that_is_longer_than_CLIP_reads_is_said_to_be()
    {
        Draw(SKColors.Red);
        await using var service = await StartAsync("rounds: { max: 1 }");
        var job = await service.RunAsync(new { prompt = "a red ball " + string.Join(' ', Enumerable.Repeat("and more", 60)) });
        Assert.Equal(["the image was compared with the beginning of the request: CLIP reads no more than 77 tokens"], job["rounds"]![0]!["notes"]!.AsArray().Select(note => (string)note!));
    }

    [Fact]
    public async Task An_image_that_cannot_be_looked_at_fails_the_job_by_name()
    {
        // A PNG by its first bytes, and nothing behind.
        Model.Override = (call, _) => Task.FromResult(call.Agent == "image" ? Answer([0x89, .. "PNG\r\n"u8, 26, 10, 0, 0]) : null);
        await using var service = await StartAsync();
        var job = await service.RunAsync(new { prompt = "a red ball" });
        Assert.Equal(("Failed", "ModelRejected"), ((string?)job["state"], (string?)job["failure"]!["reason"]));
        Assert.Equal("imageModel.endpoint: the image cannot be decoded", (string?)job["failure"]!["message"]);
    }

    [Fact]
    public async Task Without_room_in_the_budget_for_images_the_text_alone_is_judged()
    {
        Draw(SKColors.Red);
        await using var service = await StartAsync();
        var job = await service.RunAsync(new { prompt = "a red ball", budget = new { images = 0 } });
        Assert.Equal("Succeeded", (string?)job["state"]);
        Assert.Null(job["rounds"]![0]!["scores"]!["image"]);
    }

    [Fact]
    public async Task A_model_that_is_missing_or_another_keeps_the_service_from_starting()
    {
        TinyClip.Write(Path.Combine(ClipRoot, "b"), new(Mask: false));
        var missing = await Assert.ThrowsAsync<UserInputException>(() => StartAsync("", "a"));
        Assert.Equal($"scorer.clip: '{Path.Combine(ClipRoot, "a")}' does not exist: mount a folder with a CLIP model in ONNX form there", missing.Message);
        var other = await Assert.ThrowsAsync<UserInputException>(() => StartAsync("", "b"));
        Assert.Contains("no input 'attention_mask'", other.Message, StringComparison.Ordinal);
    }

    private Task<TestService> StartAsync(string more = "")
    {
        TinyClip.Write(Path.Combine(ClipRoot, "tiny"));
        return StartAsync(more, "tiny");
    }

    private Task<TestService> StartAsync(string more, string path) => TestService.StartAsync(TestService.Config(Model.Url, $$"""
        imageModel: { api: OpenAI, endpoint: { url: "{{Model.Url}}", model: scripted } }
        scorer: { type: Clip, clip: { claimName: clip, path: {{path}} } }
        {{more}}
        """), Store.Folder!, clipRoot: ClipRoot);

    /// <summary>Images of these colours, one after the other; the last one for ever.</summary>
    private void Draw(params SKColor[] colors) =>
        Model.Override = (call, _) => Task.FromResult(call.Agent == "image" ? Picture(colors[Math.Min(call.Number, colors.Length) - 1]) : null);

    private static ScriptedReply Picture(SKColor color) => Answer(Reference.Encode(32, 24, (_, _) => color, SKEncodedImageFormat.Png));

    private static ScriptedReply Answer(byte[] image) => new(new JsonObject { ["data"] = new JsonArray(new JsonObject { ["b64_json"] = Convert.ToBase64String(image) }) }.ToJsonString()) { Raw = "application/json" };
}
