using Microsoft.AspNetCore.Http;
using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Tests.Images;

/// <summary>Images from the API of stable-diffusion-webui, against a double of it.</summary>
[Trait("Category", "Component")]
public sealed class WebUiTests : IAsyncLifetime
{
    private const string Title = "xl/sd_xl_base_1.0.safetensors [31e35c80fc]";

    private WebUiDouble _server = null!;

    public async ValueTask InitializeAsync() => _server = await WebUiDouble.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Theory]
    [InlineData(Title)]
    [InlineData("xl/sd_xl_base_1.0.safetensors")]
    [InlineData("xl_sd_xl_base_1.0")]
    [InlineData("sd_xl_base_1.0.safetensors")]
    [InlineData("sd_xl_base_1.0")]
    [InlineData("31e35c80fc")]
    public async Task A_checkpoint_is_found_by_any_of_its_names(string model)
    {
        var image = await DrawAsync(model);
        Assert.Equal("image/png", image.MediaType);
        Assert.Equal(Convert.FromBase64String(ImageClient.Pixel), image.Bytes);
        Assert.Equal(Title, (string?)_server.Requests.Single()["override_settings"]!["sd_model_checkpoint"]);
    }

    [Fact]
    public async Task The_request_has_both_prompts_the_size_and_a_seed_and_leaves_nothing_on_the_server()
    {
        await DrawAsync("base");
        await DrawAsync("base");
        var (first, second) = (_server.Requests.First(), _server.Requests.Last());
        Assert.Equal("a (lion:1.2), dust", (string?)first["prompt"]);
        Assert.Equal("rain", (string?)first["negative_prompt"]);
        Assert.Equal((640, 512), ((int)first["width"]!, (int)first["height"]!));
        Assert.Equal((25, 7.0), ((int)first["steps"]!, (double)first["cfg_scale"]!));
        Assert.False((bool)first["save_images"]!);
        Assert.NotEqual((int)first["seed"]!, (int)second["seed"]!);
    }

    [Fact]
    public async Task A_checkpoint_of_distilled_guidance_gets_none()
    {
        await DrawAsync("base", PromptDialect.Flux);
        Assert.Equal(1, (double)_server.Requests.Single()["cfg_scale"]!);
    }

    [Fact]
    public async Task A_checkpoint_that_the_server_lacks_is_refused_with_those_that_it_has()
    {
        var error = await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync("sdxl"));
        Assert.Equal($"imageModel.endpoint.model: the server has no checkpoint 'sdxl': it has 'base.ckpt [cc6cb27103]', '{Title}'", error.Message);
        Assert.Empty(_server.Requests);
    }

    [Fact]
    public async Task A_server_without_its_API_is_said_to_lack_the_flag()
    {
        _server.Api = false;
        var error = await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync("base"));
        Assert.Equal("imageModel.endpoint: HTTP 404 (start the server with --api, and give its own URL, without /sdapi/v1): Not Found", error.Message);
    }

    [Fact]
    public async Task A_key_with_a_colon_is_a_user_and_a_password_and_any_other_a_bearer_token()
    {
        _server.Login = "ann:pass:word";
        await DrawAsync("base", key: "ann:pass:word");
        var error = await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync("base", key: "token"));
        Assert.Equal("Bearer token", _server.Authorizations.Last());
        Assert.Equal("imageModel.endpoint: HTTP 401 (give user:password of --api-auth, or the token of the proxy, as the API key): Incorrect username or password", error.Message);
        await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync("base"));
        Assert.Equal("", _server.Authorizations.Last());
    }

    [Theory]
    [InlineData(422, """{"detail":[{"loc":["body","width"],"msg":"value is not a valid integer","type":"type_error.integer"},{"loc":["body","steps"],"msg":"too many","type":"x"}]}""", ": body.width: value is not a valid integer; body.steps: too many")]
    [InlineData(422, """{"error":"HTTPException","detail":"always on script x not found","body":"","errors":""}""", ": always on script x not found")]
    [InlineData(400, """{"detail":"no"}""", ": no")]
    [InlineData(413, "<html>too large</html>", "")]
    [InlineData(418, """["x"]""", "")]
    [InlineData(418, """{"detail":["x", 5],"error":5}""", "")]
    public async Task A_refusal_is_told_in_the_servers_words_and_not_repeated(int status, string body, string words)
    {
        _server.Answer = _ => Results.Text(body, statusCode: status);
        var error = await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync("base"));
        Assert.Equal($"imageModel.endpoint: HTTP {status}{words}", error.Message);
        Assert.Equal($"imageModel.endpoint: HTTP {status}", error.Summary);
        Assert.Single(_server.Requests);
    }

    [Fact]
    public async Task An_answer_that_is_too_large_is_not_asked_for_again()
    {
        _server.Answer = _ => Results.Bytes(new byte[GeneratedImage.MaxBytes + 1]);
        var error = await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync("base"));
        Assert.Equal("imageModel.endpoint: the answer is larger than 67108864 bytes: ask for a smaller image with imageModel.size", error.Message);
        Assert.Single(_server.Requests);
    }

    [Theory]
    [InlineData("ann:pass:word", "no user ann:pass:word", ": no user [the key]")]
    [InlineData("ann:pass:word", "ann, pass:word is wrong", ": ann, [the key] is wrong")]
    [InlineData("token", "no token Token", ": no [the key] [the key]")]
    public async Task A_refusal_that_repeats_the_key_is_told_without_it(string key, string words, string told)
    {
        _server.Answer = _ => Results.Json(new { detail = words }, statusCode: 400);
        Assert.Equal($"imageModel.endpoint: HTTP 400{told}", (await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync("base", key: key))).Message);
    }

    [Fact]
    public async Task A_long_refusal_is_not_cut_inside_a_character()
    {
        _server.Answer = _ => Results.Json(new { detail = new string('x', 399) + "\U0001F981 and more" }, statusCode: 400);
        Assert.EndsWith("xx...", (await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync("base"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_out_of_memory_is_asked_again()
    {
        var counted = new List<string>();
        _server.Answer = number => number == 1 ? Results.Json(new { error = "OutOfMemoryError", detail = "", body = "", errors = "CUDA out of memory" }, statusCode: 500) : null;
        await DrawAsync("base", counted: counted.Add);
        Assert.Equal(["ok", "500", "ok"], counted);
        _server.Answer = _ => Results.Json(new { error = "OutOfMemoryError", detail = "", body = "", errors = "CUDA out of memory" }, statusCode: 500);
        var error = await Assert.ThrowsAsync<ModelUnavailableException>(() => DrawAsync("base"));
        Assert.Equal("imageModel.endpoint: HTTP 500: CUDA out of memory", error.Message);
    }

    [Theory]
    [InlineData("""{"images":[]}""", "the answer has no images[0] in base64: an endpoint that answers inline is needed")]
    [InlineData("""{"images":[null]}""", "the answer has no images[0] in base64: an endpoint that answers inline is needed")]
    [InlineData("""{"images":["?"]}""", "the answer has no images[0] in base64: an endpoint that answers inline is needed")]
    [InlineData("no", "the answer has no images[0] in base64: an endpoint that answers inline is needed")]
    [InlineData("""{"images":["AAAA"]}""", "the image is neither PNG, JPEG nor WebP")]
    public async Task An_answer_without_an_image_is_named(string body, string message)
    {
        _server.Answer = _ => Results.Text(body);
        Assert.Equal($"imageModel.endpoint: {message}", (await Assert.ThrowsAsync<ModelRejectedException>(() => DrawAsync("base"))).Message);
    }

    [Fact]
    public async Task An_image_may_have_its_media_type_before_it()
    {
        _server.Answer = _ => Results.Json(new { images = new[] { "data:image/png;base64," + ImageClient.Pixel } });
        Assert.Equal("image/png", (await DrawAsync("base")).MediaType);
    }

    [Fact]
    public async Task A_job_is_judged_by_an_image_of_the_server_in_its_dialect()
    {
        await using var model = await ScriptedEndpoint.StartAsync();
        using var folder = new TemporaryFolder();
        await using var service = await TestService.StartAsync(
            TestService.Config(model.Url, $"imageModel: {{ api: Automatic1111, size: 512x768, endpoint: {{ url: '{_server.Url}', model: base }} }}"), folder.Path);
        var job = await service.RunAsync(new { prompt = "a golden lion", budget = new { images = 1 } });
        Assert.Equal("Succeeded", (string?)job["state"]);
        Assert.Equal(1, (int)job["usage"]!["images"]!);
        var asked = _server.Requests.Single();
        Assert.StartsWith("(the subject:1.2), ", (string?)asked["prompt"], StringComparison.Ordinal);
        Assert.Equal("blurred faces", (string?)asked["negative_prompt"]);
        Assert.Equal((512, 768), ((int)asked["width"]!, (int)asked["height"]!));
    }

    [Fact]
    public async Task A_request_that_the_server_refuses_fails_the_job_instead_of_costing_it_its_image()
    {
        _server.Answer = _ => Results.Json(new { detail = "no such sampler" }, statusCode: 400);
        await using var model = await ScriptedEndpoint.StartAsync();
        using var folder = new TemporaryFolder();
        await using var service = await TestService.StartAsync(
            TestService.Config(model.Url, $"imageModel: {{ api: Automatic1111, endpoint: {{ url: '{_server.Url}', model: base }} }}"), folder.Path);
        var job = await service.RunAsync(new { prompt = "a golden lion" });
        Assert.Equal("ModelRejected", (string?)job["failure"]!["reason"]);
        Assert.Equal("imageModel.endpoint: HTTP 400: no such sampler", (string?)job["failure"]!["message"]);
    }

    private async Task<GeneratedImage> DrawAsync(string model, PromptDialect dialect = PromptDialect.StableDiffusion, string? key = null, Action<string>? counted = null)
    {
        var endpoint = ImageClient.Endpoint(_server.Url, model, key);
        using var images = new WebUiImages(ImageClient.Settings(endpoint, ImageApi.Automatic1111, dialect), ImageClient.Calls(endpoint, counted));
        return await images.GenerateAsync(new("a (lion:1.2), dust", "rain"), TestContext.Current.CancellationToken);
    }
}
