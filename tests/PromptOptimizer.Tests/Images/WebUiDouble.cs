using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Moebius.PromptOptimizer.Tests.Images;

/// <summary>
/// A double of stable-diffusion-webui: it speaks the part of its API that is used here over real HTTP, and draws
/// nothing. What it answers follows that program's source; the program itself is not run by these tests.
/// </summary>
internal sealed class WebUiDouble : IAsyncDisposable
{
    private readonly WebApplication _app;

    private WebUiDouble(WebApplication app) => _app = app;

    /// <summary>Bodies of the requests for images.</summary>
    public ConcurrentQueue<JsonObject> Requests { get; } = new();

    /// <summary>Authorization headers of all requests.</summary>
    public ConcurrentQueue<string> Authorizations { get; } = new();

    /// <summary>Whether it was started with --api.</summary>
    public bool Api { get; set; } = true;

    /// <summary>User and password of --api-auth.</summary>
    public string? Login { get; set; }

    /// <summary>Answers a request for an image by its number from 1; null for the usual image.</summary>
    public Func<int, IResult?> Answer { get; set; } = _ => null;

    public string Url => _app.Urls.First();

    public static async Task<WebUiDouble> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var server = new WebUiDouble(builder.Build());
        server._app.MapGet("/sdapi/v1/sd-models", server.Models);
        server._app.MapPost("/sdapi/v1/txt2img", (Delegate)server.DrawAsync);
        await server._app.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private IResult Models(HttpContext context) => Refusal(context) ?? Results.Json(new[]
    {
        new { title = "base.ckpt [cc6cb27103]", model_name = "base", hash = "cc6cb27103", sha256 = new string('a', 64), filename = "/models/base.ckpt", config = (string?)null },
        new { title = "xl/sd_xl_base_1.0.safetensors [31e35c80fc]", model_name = "xl_sd_xl_base_1.0", hash = "31e35c80fc", sha256 = new string('b', 64), filename = @"C:\models\xl\sd_xl_base_1.0.safetensors", config = (string?)null },
    });

    private async Task<IResult> DrawAsync(HttpContext context)
    {
        if (Refusal(context) is { } refusal)
            return refusal;
        Requests.Enqueue((await JsonNode.ParseAsync(context.Request.Body))!.AsObject());
        return Answer(Requests.Count) ?? Results.Json(new { images = new[] { ImageClient.Pixel }, parameters = new { }, info = "{}" });
    }

    private IResult? Refusal(HttpContext context)
    {
        var given = context.Request.Headers.Authorization.ToString();
        Authorizations.Enqueue(given);
        if (!Api)
            return Results.Json(new { detail = "Not Found" }, statusCode: 404);
        return Login is not null && given != $"Basic {Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(Login))}"
            ? Results.Json(new { error = "HTTPException", detail = "Incorrect username or password", body = "", errors = "" }, statusCode: 401)
            : null;
    }
}
