using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Models;
using Moebius.PromptOptimizer.Models.Comfy;

namespace Moebius.PromptOptimizer.Tests.Images;

/// <summary>Images from ComfyUI, against a double of it.</summary>
[Trait("Category", "Component")]
public sealed class ComfyTests : IAsyncLifetime
{
    private ComfyDouble _server = null!;

    public async ValueTask InitializeAsync() => _server = await ComfyDouble.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_image_is_queued_waited_for_fetched_and_forgotten(bool takesIds)
    {
        _server.TakesIds = takesIds;
        var image = await DrawAsync();
        Assert.Equal("image/png", image.MediaType);
        Assert.Equal(Convert.FromBase64String(ImageClient.Pixel), image.Bytes);
        Assert.Equal(["POST prompt", "GET history", "GET queue", "GET history", "GET view temp//ComfyUI_temp_ä_00001_.png", "POST history delete"], _server.Log);
        Assert.Empty(_server.History);
    }

    [Fact]
    public async Task The_graph_leads_from_the_checkpoint_to_a_preview()
    {
        await DrawAsync();
        var graph = _server.Prompts.Single()["prompt"]!.AsObject();
        var preview = graph.Single(node => (string?)node.Value!["class_type"] == "PreviewImage").Value!;
        var decoder = Follow(preview, "images", 0, "VAEDecode");
        Follow(decoder, "vae", 2, "CheckpointLoaderSimple");
        var sampler = Follow(decoder, "samples", 0, "KSampler")["inputs"]!;
        Assert.Equal("sd_xl_base_1.0.safetensors", (string?)Follow(sampler.Parent!, "model", 0, "CheckpointLoaderSimple")["inputs"]!["ckpt_name"]);
        var positive = Follow(sampler.Parent!, "positive", 0, "CLIPTextEncode");
        var negative = Follow(sampler.Parent!, "negative", 0, "CLIPTextEncode");
        Assert.Equal(("a (lion:1.2), dust", "rain"), ((string?)positive["inputs"]!["text"], (string?)negative["inputs"]!["text"]));
        Follow(positive, "clip", 1, "CheckpointLoaderSimple");
        Follow(negative, "clip", 1, "CheckpointLoaderSimple");
        var canvas = Follow(sampler.Parent!, "latent_image", 0, "EmptyLatentImage")["inputs"]!;
        Assert.Equal((640, 512, 1), ((int)canvas["width"]!, (int)canvas["height"]!, (int)canvas["batch_size"]!));
        Assert.Equal((25, 7.0, "dpmpp_2m", "karras", 1.0), ((int)sampler["steps"]!, (double)sampler["cfg"]!, (string)sampler["sampler_name"]!, (string)sampler["scheduler"]!, (double)sampler["denoise"]!));

        // ComfyUI does not run again what has not changed.
        await DrawAsync();
        Assert.NotEqual((int)sampler["seed"]!, (int)_server.Prompts[1]["prompt"]!["sampler"]!["inputs"]!["seed"]!);

        JsonNode Follow(JsonNode node, string input, int output, string type)
        {
            var link = node["inputs"]![input]!.AsArray();
            Assert.Equal(output, (int)link[1]!);
            var target = graph[(string)link[0]!]!;
            Assert.Equal(type, (string?)target["class_type"]);
            return target;
        }
    }

    [Fact]
    public async Task A_checkpoint_of_distilled_guidance_gets_none()
    {
        await DrawAsync(PromptDialect.Flux);
        var sampler = _server.Prompts.Single()["prompt"]!["sampler"]!["inputs"]!;
        Assert.Equal((20, 1.0, "euler", "simple"), ((int)sampler["steps"]!, (double)sampler["cfg"]!, (string)sampler["sampler_name"]!, (string)sampler["scheduler"]!));
    }

    [Fact]
    public async Task A_refused_graph_is_told_node_by_node_and_not_repeated()
    {
        _server.Refusal = _ => Results.Text("""
            {"error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": "", "extra_info": {}},
             "node_errors": {"checkpoint": {"errors": [{"type": "value_not_in_list", "message": "Value not in list", "details": "ckpt_name: 'x' not in ['a']", "extra_info": {}}], "dependent_outputs": ["preview"], "class_type": "CheckpointLoaderSimple"}}}
            """, statusCode: 400);
        var error = await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync());
        Assert.Equal("imageModel.endpoint: HTTP 400: Prompt outputs failed validation; node CheckpointLoaderSimple: Value not in list (ckpt_name: 'x' not in ['a'])", error.Message);
        Assert.Equal("imageModel.endpoint: HTTP 400", error.Summary);
        Assert.Single(_server.Prompts);
    }

    [Fact]
    public async Task A_node_that_fails_is_named_and_its_inputs_are_not()
    {
        _server.Status = () => Failure("RuntimeError", "mat1 and mat2 shapes cannot be multiplied\n");
        var error = await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync());
        Assert.Equal("imageModel.endpoint: the workflow failed: node KSampler: RuntimeError: mat1 and mat2 shapes cannot be multiplied", error.Message);
        Assert.Empty(_server.History);
    }

    [Fact]
    public async Task A_node_that_repeats_the_key_is_told_without_it()
    {
        _server.Status = () => Failure("RuntimeError", "no access with sesame");
        var error = await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync(key: "sesame"));
        Assert.EndsWith("RuntimeError: no access with [the key]", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_lack_of_memory_may_pass()
    {
        _server.Status = () => Failure("torch.OutOfMemoryError", "Allocation on device");
        var error = await Assert.ThrowsAsync<ModelUnavailableException>(() => DrawAsync());
        Assert.Equal("imageModel.endpoint: the workflow failed for lack of memory: node KSampler: torch.OutOfMemoryError: Allocation on device", error.Message);
    }

    [Fact]
    public async Task A_workflow_that_ends_without_an_image_is_told()
    {
        _server.Outputs = () => [];
        Assert.Equal("imageModel.endpoint: the workflow ended without an image: look into ComfyUI's log", (await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync())).Message);
        _server.Status = () => new JsonObject { ["status_str"] = "error", ["messages"] = new JsonArray() };
        Assert.Equal("imageModel.endpoint: the workflow failed: it does not say what", (await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync())).Message);
    }

    [Fact]
    public async Task Workflows_of_others_are_waited_for_beyond_the_timeout_and_left_alone()
    {
        _server.AddOther("theirs");
        _server.Ends = false;
        var drawing = DrawAsync(timeout: TimeSpan.FromSeconds(1));
        await Eventually.TrueAsync(() => _server.Queue is { Running: "theirs", Pending.Count: 1 });
        await Task.Delay(TimeSpan.FromSeconds(1.5));
        Assert.False(drawing.IsCompleted);
        _server.Ends = true;
        await drawing;
        Assert.DoesNotContain("POST interrupt", _server.Log);
        Assert.Equal(["theirs"], _server.History);
    }

    [Fact]
    public async Task A_workflow_that_takes_too_long_is_broken_off_and_forgotten()
    {
        _server.Ends = false;
        var error = await Assert.ThrowsAsync<ModelUnavailableException>(() => DrawAsync(timeout: TimeSpan.FromSeconds(1)));
        Assert.Equal("imageModel.endpoint: no image within 1 s of its start (timeout)", error.Message);
        Assert.Equal((null, 0), (_server.Queue.Running, _server.Queue.Pending.Count));
        Assert.Equal(["POST queue delete", "GET queue", "POST interrupt", "GET queue", "POST history delete"], _server.Log[^5..]);
        Assert.Empty(_server.History);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_cancelled_wait_takes_the_workflow_out_of_the_queue_and_breaks_off_nobody_elses(bool takesIds)
    {
        _server.TakesIds = takesIds;
        _server.AddOther("theirs");
        _server.Ends = false;
        using var cancel = new CancellationTokenSource();
        var drawing = DrawAsync(cancel: cancel.Token);
        await Eventually.TrueAsync(() => _server.Queue is { Running: "theirs", Pending.Count: 1 });
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => drawing);
        Assert.Equal(("theirs", 0), (_server.Queue.Running, _server.Queue.Pending.Count));
        Assert.DoesNotContain("POST interrupt", _server.Log);
    }

    [Fact]
    public async Task A_workflow_that_others_interrupt_or_a_restart_loses_is_worth_another_attempt()
    {
        _server.Status = () => new JsonObject { ["status_str"] = "error", ["messages"] = new JsonArray(new JsonArray("execution_interrupted", new JsonObject())) };
        Assert.Equal("imageModel.endpoint: the workflow was interrupted in ComfyUI", (await Assert.ThrowsAsync<ModelUnavailableException>(() => DrawAsync())).Message);
        _server.Starts = false;
        var drawing = DrawAsync();
        await Eventually.TrueAsync(() => _server.Queue.Pending.Count == 1);
        _server.Restart();
        Assert.Equal(
            "imageModel.endpoint: the workflow is no longer in ComfyUI's queue, nor in its history: it was removed, or ComfyUI restarted",
            (await Assert.ThrowsAsync<ModelUnavailableException>(() => drawing)).Message);
    }

    [Fact]
    public async Task A_busy_proxy_is_asked_again_and_a_key_is_sent()
    {
        _server.Refusal = number => number == 1 ? Results.Json(new { error = "busy" }, statusCode: 503) : null;
        await DrawAsync(key: "token");
        Assert.Equal(2, _server.Prompts.Count);
        Assert.Equal((string?)_server.Prompts[0]["prompt_id"], (string?)_server.Prompts[1]["prompt_id"]);
        Assert.All(_server.Authorizations, value => Assert.Equal("Bearer token", value));
    }

    [Theory]
    [InlineData("""{"id": 1}""", "the answer to POST prompt has no prompt_id: this is not ComfyUI")]
    [InlineData("""{"prompt_id": 1}""", "the answer to POST prompt has no prompt_id: this is not ComfyUI")]
    [InlineData("<html>", "the answer to POST prompt has no prompt_id: this is not ComfyUI")]
    public async Task Another_program_is_not_taken_for_it(string body, string message)
    {
        _server.Refusal = _ => Results.Text(body);
        Assert.Equal($"imageModel.endpoint: {message}", (await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync())).Message);
    }

    [Fact]
    public async Task A_cancelled_job_ends_its_workflow()
    {
        _server.Ends = false;
        await using var model = await ScriptedEndpoint.StartAsync();
        using var folder = new TemporaryFolder();
        await using var service = await StartServiceAsync(model, folder);
        var id = (string)(await service.CreateAsync(new { prompt = "a golden lion" }))["id"]!;
        await Eventually.TrueAsync(() => _server.Queue.Running is not null);
        (await service.Client.DeleteAsync($"/v1/jobs/{id}")).Dispose();
        Assert.Equal("Cancelled", (string?)(await service.EndAsync(id))["state"]);
        Assert.Equal((null, 0), (_server.Queue.Running, _server.Queue.Pending.Count));
        Assert.Empty(_server.History);
    }

    [Fact]
    public async Task A_job_whose_deadline_passes_ends_its_workflow()
    {
        _server.Starts = false;
        await using var model = await ScriptedEndpoint.StartAsync();
        using var folder = new TemporaryFolder();
        await using var service = await StartServiceAsync(model, folder);
        var job = await service.RunAsync(new { prompt = "a golden lion", budget = new { deadline = "3s" } });
        Assert.Equal("DeadlineExceeded", (string?)job["failure"]!["reason"]);
        Assert.Single(_server.Prompts);
        Assert.Empty(_server.Queue.Pending);
    }

    [Fact]
    public async Task A_job_is_judged_by_an_image_of_it()
    {
        await using var model = await ScriptedEndpoint.StartAsync();
        using var folder = new TemporaryFolder();
        await using var service = await StartServiceAsync(model, folder);
        var job = await service.RunAsync(new { prompt = "a golden lion", budget = new { images = 1 } });
        Assert.Equal("Succeeded", (string?)job["state"]);
        using var image = await service.Client.GetAsync((string)job["rounds"]![0]!["imageUrl"]!);
        Assert.Equal(Convert.FromBase64String(ImageClient.Pixel), await image.Content.ReadAsByteArrayAsync());
    }

    private static JsonObject Failure(string type, string message) => new()
    {
        ["status_str"] = "error",
        ["completed"] = false,
        ["messages"] = new JsonArray(
            new JsonArray("execution_start", new JsonObject()),
            new JsonArray("execution_error", new JsonObject
            {
                ["node_id"] = "sampler",
                ["node_type"] = "KSampler",
                ["exception_type"] = type,
                ["exception_message"] = message,
                ["traceback"] = new JsonArray("..."),
                ["current_inputs"] = new JsonObject { ["positive"] = "a lion" },
            })),
    };

    private Task<TestService> StartServiceAsync(ScriptedEndpoint model, TemporaryFolder folder) => TestService.StartAsync(
        TestService.Config(model.Url, $"imageModel: {{ api: ComfyUI, endpoint: {{ url: '{_server.Url}', model: base.safetensors }} }}"), folder.Path);

    private async Task<GeneratedImage> DrawAsync(PromptDialect dialect = PromptDialect.StableDiffusion, string? key = null, TimeSpan? timeout = null, CancellationToken cancel = default)
    {
        var endpoint = ImageClient.Endpoint(_server.Url, "sd_xl_base_1.0.safetensors", key, timeout);
        using var images = new ComfyImages(ImageClient.Settings(endpoint, ImageApi.ComfyUI, dialect), ImageClient.Calls(endpoint), TimeProvider.System, TimeSpan.FromMilliseconds(5));
        return await images.GenerateAsync(new("a (lion:1.2), dust", "rain"), cancel);
    }
}
