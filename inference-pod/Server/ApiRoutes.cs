using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Moebius.Inference.Engine;

namespace Moebius.Inference.Server;

/// <summary>The HTTP API.</summary>
internal sealed class ApiRoutes(
    Func<ServedModel?> served,
    Func<string?> unready,
    Func<TenantIdentity> identity,
    ServeOptions options,
    ServerMetrics metrics,
    TimeProvider clock,
    ILogger logger)
{
    private const int LoadingRetrySeconds = 5;
    private const string Completions = "/v1/completions";
    private const string ChatCompletions = "/v1/chat/completions";

    public void Map(WebApplication app)
    {
        app.Use(ShapeErrorsAsync);
        app.MapGet("/healthz", () => Results.Text("ok\n"));
        app.MapGet("/readyz", () => unready() is { } reason ? Results.Text(reason + "\n", statusCode: StatusCodes.Status503ServiceUnavailable) : Results.Text("ok\n"));
        app.MapGet("/metrics", WriteMetricsAsync);
        app.MapGet("/v1/models", () => Results.Json(new JsonObject { ["object"] = "list", ["data"] = new JsonArray(Describe(Ready())) }));
        app.MapGet("/v1/models/{**name}", (string name) => Results.Json(Describe(Named(name, "model"))));
        app.MapPost(Completions, context => AnswerAsync(context, PreparedRequest.Completion, model => new TextShape(model.Name, model.Tokenizer, clock.GetUtcNow())));
        app.MapPost(ChatCompletions, context => AnswerAsync(context, (root, model) => PreparedRequest.Chat(root, model, clock), model => new ChatShape(model.Name, model.Tokenizer, clock.GetUtcNow())));
        app.MapFallback(context => throw (context.Request.Path == Completions || context.Request.Path == ChatCompletions
            ? new ApiException(405, "invalid_request_error", $"{context.Request.Path} takes POST, not {context.Request.Method}.", null, "method_not_allowed")
            : new ApiException(404, "invalid_request_error", $"There is no {context.Request.Method} {context.Request.Path} here.", null, "unknown_url")));
    }

    private async Task AnswerAsync(HttpContext context, Func<JsonElement, ServedModel, PreparedRequest> read, Func<ServedModel, AnswerShape> shape)
    {
        var stop = context.RequestAborted;
        var model = Ready();
        var tenant = identity().Of(context.Request.Headers);
        using var document = await JsonBody.ReadAsync(context.Request, stop).ConfigureAwait(false);
        var request = read(document.RootElement, model);
        Named(request.Common.Model ?? throw ApiException.Invalid("model", "'model' is required.", "missing_required_parameter"), "model");
        var generations = Submit(model, request.Sequences(model, tenant, options.MaxQueued + options.MaxSequences));
        try
        {
            var writer = new AnswerWriter(request, shape(model), generations);
            await (request.Common.Stream ? writer.WriteStreamAsync(context, stop) : writer.WriteWholeAsync(context, stop)).ConfigureAwait(false);
        }
        finally
        {
            // Without effect on what has ended.
            foreach (var generation in generations)
                generation.Cancel();
        }
    }

    private IReadOnlyList<Generation> Submit(ServedModel model, IReadOnlyList<EngineRequest> sequences)
    {
        try
        {
            return model.Engine.Submit(sequences);
        }
        catch (QueueFullException error)
        {
            metrics.Rejected();
            var rounds = Math.Clamp(error.Waiting / options.MaxSequences, 1, 30);
            throw new ApiException(429, "rate_limit_error", "The server is busy: its queue is full. Try again later.", null, "queue_full") { RetryAfter = rounds };
        }
        catch (EngineStoppedException)
        {
            throw Unavailable("the server is stopping");
        }
    }

    private ServedModel Ready() => unready() is { } reason ? throw Unavailable(reason) : served()!;

    private ServedModel Named(string name, string param)
    {
        var model = Ready();
        return name == model.Name
            ? model
            : throw new ApiException(404, "invalid_request_error", $"The model '{Shown(name)}' does not exist: this server has '{model.Name}'.", param, "model_not_found");
    }

    private static string Shown(string name) => name.Length <= 100 ? name : name[..100] + "...";

    private static ApiException Unavailable(string reason) =>
        new(503, "server_error", char.ToUpperInvariant(reason[0]) + reason[1..] + ". Try again later.", null, "not_ready") { RetryAfter = LoadingRetrySeconds };

    private static JsonObject Describe(ServedModel model) => new()
    {
        ["id"] = model.Name,
        ["object"] = "model",
        ["created"] = model.Created.ToUnixTimeSeconds(),
        ["owned_by"] = "moebius",
        ["max_model_len"] = model.ContextLength,
    };

    private async Task WriteMetricsAsync(HttpContext context)
    {
        context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        await context.Response.WriteAsync(await metrics.ExportAsync(context.RequestAborted).ConfigureAwait(false), context.RequestAborted).ConfigureAwait(false);
    }

    private async Task ShapeErrorsAsync(HttpContext context, RequestDelegate next)
    {
        ApiException failure;
        try
        {
            await next(context).ConfigureAwait(false);
            return;
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (ApiException error)
        {
            failure = error;
        }
        catch (BadHttpRequestException error)
        {
            failure = new ApiException(error.StatusCode, "invalid_request_error", "The request could not be read.");
        }
        catch (Exception error)
        {
            // The message of an unforeseen error may hold anything: it goes to the log, not to the client.
            logger.LogError(error, "A request failed");
            failure = new ApiException(500, "server_error", "The server failed to answer this request.");
        }

        if (context.Response.HasStarted)
        {
            context.Abort();
            return;
        }

        context.Response.Clear();
        context.Response.StatusCode = failure.Status;
        if (failure.RetryAfter is { } seconds)
            context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        await context.Response.WriteAsJsonAsync(failure.Body()).ConfigureAwait(false);
    }
}
