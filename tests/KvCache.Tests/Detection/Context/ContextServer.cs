using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Moebius.KvCache.Tests.Detection.Context;

/// <summary>A real HTTP server in the place of a language model.</summary>
internal sealed class ContextServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private ContextServer(WebApplication app) => _app = app;

    /// <summary>Bodies of the requests.</summary>
    public ConcurrentQueue<JsonNode> Requests { get; } = [];

    public ConcurrentQueue<string?> Authorizations { get; } = [];

    /// <summary>What the model says to a passage; called while the request waits.</summary>
    public Func<string, Task<string>> Say { get; set; } = passage => Task.FromResult(Verdict(passage.Contains("secret", StringComparison.Ordinal)));

    public Func<HttpContext, string, Task>? Respond { get; set; }

    public string Url => _app.Urls.First() + "/v1";

    public static string Verdict(bool isPrivate) => $$"""{"private": {{(isPrivate ? "true" : "false")}}, "category": "{{(isPrivate ? "secret" : "none")}}"}""";

    public static async Task<ContextServer> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.Urls.Add("http://127.0.0.1:0");
        var server = new ContextServer(app);
        app.MapPost("/v1/chat/completions", server.AnswerAsync);
        await app.StartAsync();
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _app.StopAsync(patience.Token);
        await _app.DisposeAsync();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var body = (await JsonNode.ParseAsync(context.Request.Body))!;
        Requests.Enqueue(body);
        Authorizations.Enqueue(context.Request.Headers.Authorization);
        var passage = JsonNode.Parse(body["messages"]![1]!["content"]!.GetValue<string>())!["passage"]!.GetValue<string>();
        if (Respond is { } respond)
        {
            await respond(context, passage);
            return;
        }

        var text = await Say(passage);
        await context.Response.WriteAsync(new JsonObject
        {
            ["choices"] = new JsonArray(new JsonObject { ["finish_reason"] = "stop", ["message"] = new JsonObject { ["role"] = "assistant", ["content"] = text } }),
        }.ToJsonString());
    }
}
