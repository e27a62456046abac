using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Moebius.PromptOptimizer.Tests;

/// <summary>A request as the scripted endpoint saw it.</summary>
/// <param name="Agent">The schema's name, or "image".</param>
/// <param name="Body">The whole body.</param>
/// <param name="Number">Count of this agent's requests, from 1.</param>
/// <param name="Authorization">The header, or null.</param>
/// <param name="Length">Bytes of the body as its header says, or null.</param>
internal sealed record ScriptedCall(string Agent, JsonObject Body, int Number, string? Authorization, long? Length)
{
    /// <summary>The JSON object in the first user message: what the agent was given.</summary>
    public JsonObject Input
    {
        get
        {
            var content = Body["messages"]!.AsArray().First(message => (string?)message!["role"] == "user")!["content"]!;
            var text = content is JsonArray parts
                ? parts.Where(part => (string?)part!["type"] == "text").Select(part => (string)part!["text"]!).First()
                : (string)content!;
            return JsonNode.Parse(text)!.AsObject();
        }
    }
}

/// <summary>What the scripted endpoint answers.</summary>
internal sealed record ScriptedReply(string Content, int Status = 200, string FinishReason = "stop", string? RetryAfter = null, int Tokens = 100, string? Code = null)
{
    /// <summary>The content type with which <see cref="Content"/> is sent as it is, as the whole body; null: it stands in an answer of the OpenAI API.</summary>
    public string? Raw { get; init; }
}

/// <summary>
/// A scripted, deterministic stand-in for a language model behind a real OpenAI-compatible HTTP endpoint. It follows
/// rules, not a model: what it shows is the service's behaviour, never the quality of prompts.
/// </summary>
internal sealed class ScriptedEndpoint : IAsyncDisposable
{
    /// <summary>One grey pixel, as PNG in base64.</summary>
    internal const string Pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

    private readonly WebApplication _app;
    private readonly ConcurrentDictionary<string, int> _counts = new();

    private ScriptedEndpoint(WebApplication app) => _app = app;

    public ConcurrentQueue<ScriptedCall> Calls { get; } = new();

    /// <summary>Replaces the script for some calls: null leaves a call to <see cref="Script"/>.</summary>
    public Func<ScriptedCall, CancellationToken, Task<ScriptedReply?>> Override { get; set; } = (_, _) => Task.FromResult<ScriptedReply?>(null);

    public string Url => $"{_app.Urls.First()}/v1";

    public int Count(string agent) => _counts.GetValueOrDefault(agent);

    public static async Task<ScriptedEndpoint> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var endpoint = new ScriptedEndpoint(builder.Build());
        endpoint._app.MapPost("/v1/chat/completions", (Delegate)endpoint.ChatAsync);
        endpoint._app.MapPost("/v1/images/generations", (Delegate)endpoint.ImageAsync);
        await endpoint._app.StartAsync();
        return endpoint;
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    /// <summary>The agent's answer by rule: the first draft leaves the request out, a revised one has all of it.</summary>
    public static JsonObject Script(string agent, JsonObject input)
    {
        switch (agent)
        {
            case "intent-inference":
                return new JsonObject
                {
                    ["reasoning"] = "scripted",
                    ["subject"] = "the subject",
                    ["elements"] = new JsonArray([.. ((string)input["request"]!).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Take(16).Select(part => (JsonNode)(part.Length > 300 ? part[..300] : part))]),
                    ["unsaid"] = new JsonArray("the time of day"),
                    ["exclusions"] = new JsonArray(),
                    ["occasion"] = "",
                    ["mood"] = "warm",
                };
            case "scene-and-style":
                var whole = $"A wide view of {input["request"]}, with warm light falling across the scene, soft colours, fine detail and a calm background.";
                return Draft(input["previous"] is null ? "A view with warm light, soft colours, fine detail and a calm background in the distance behind it." : whole);
            case "feedback-tuning":
                var tuned = (JsonObject)input["draft"]!.DeepClone();
                tuned["prompt"] = $"{tuned["prompt"]} {input["feedback"]}.";
                return new JsonObject { ["draft"] = tuned, ["changes"] = new JsonArray("as the feedback says") };
            case "self-evaluation":
                var prompt = (string)input["prompt"]!;
                return new JsonObject
                {
                    ["elements"] = new JsonArray([.. input["elements"]!.AsArray().Select(item =>
                    {
                        var element = (string)item!["element"]!;
                        var present = prompt.Contains(element, StringComparison.OrdinalIgnoreCase);
                        return (JsonNode)new JsonObject { ["number"] = (int)item["number"]!, ["present"] = present, ["quote"] = present ? element : "" };
                    })]),
                    ["contradictions"] = new JsonArray(),
                    ["unrequested"] = new JsonArray(),
                    ["advice"] = new JsonArray(),
                };
            case "vision-scorer":
                return new JsonObject
                {
                    ["elements"] = new JsonArray([.. input["elements"]!.AsArray().Select(item => (JsonNode)new JsonObject { ["number"] = (int)item!["number"]!, ["visible"] = true })]),
                    ["contradictions"] = new JsonArray(),
                    ["defects"] = new JsonArray("a blurred edge"),
                };
            default:
                throw new ArgumentException(agent, nameof(agent));
        }
    }

    public static JsonObject Draft(string prompt) => new()
    {
        ["prompt"] = prompt,
        ["subject"] = "the subject",
        ["setting"] = "a meadow",
        ["composition"] = "wide view",
        ["lighting"] = "warm light",
        ["palette"] = "soft colours",
        ["medium"] = "oil on canvas",
        ["mood"] = "calm",
        ["negative"] = new JsonArray("blurred faces"),
        ["aspectRatio"] = "3:2",
    };

    private async Task<IResult> ChatAsync(HttpContext context)
    {
        var body = (await JsonNode.ParseAsync(context.Request.Body))!.AsObject();
        var agent = (string?)body["response_format"]?["json_schema"]?["name"] ?? "no-format";
        var call = Record(agent, body, context);
        var reply = await Override(call, context.RequestAborted) ?? new(Script(agent, call.Input).ToJsonString());
        if (reply.RetryAfter is { } after)
            context.Response.Headers.RetryAfter = after;
        if (reply.Raw is { } type)
            return Results.Text(reply.Content, type, statusCode: reply.Status);
        if (reply.Status != 200)
            return Results.Json(new { error = new { message = reply.Content, type = "scripted", code = reply.Code } }, statusCode: reply.Status);
        return Results.Json(new
        {
            id = "scripted",
            @object = "chat.completion",
            created = 0,
            model = "scripted",
            choices = new[] { new { index = 0, finish_reason = reply.FinishReason, message = new { role = "assistant", content = reply.Content } } },
            usage = new { prompt_tokens = reply.Tokens / 2, completion_tokens = reply.Tokens - (reply.Tokens / 2), total_tokens = reply.Tokens },
        });
    }

    private async Task<IResult> ImageAsync(HttpContext context)
    {
        var body = (await JsonNode.ParseAsync(context.Request.Body))!.AsObject();
        var reply = await Override(Record("image", body, context), context.RequestAborted);
        if (reply is { Raw: { } type })
            return Results.Text(reply.Content, type, statusCode: reply.Status);
        if (reply is not null)
            return Results.Json(new { error = new { message = reply.Content } }, statusCode: reply.Status);
        return Results.Json(new { data = new[] { new { b64_json = Pixel } } });
    }

    private ScriptedCall Record(string agent, JsonObject body, HttpContext context)
    {
        var number = _counts.AddOrUpdate(agent, 1, (_, count) => count + 1);
        var call = new ScriptedCall(agent, body, number, context.Request.Headers.Authorization.ToString() is { Length: > 0 } value ? value : null, context.Request.ContentLength);
        Calls.Enqueue(call);
        return call;
    }
}
