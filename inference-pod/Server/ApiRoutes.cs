using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Moebius.Crds.Host;
using Moebius.Inference.Engine;

namespace Moebius.Inference.Server;

/// <summary>The HTTP API.</summary>
internal sealed class ApiRoutes(
    Func<ServedModel?> served,
    Func<string?> unready,
    Func<PolicyRules> policy,
    ServeOptions options,
    ServerMetrics metrics,
    TimeProvider clock,
    ILogger logger)
{
    private const int LoadingRetrySeconds = 5;
    private const string Completions = "/v1/completions";
    private const string ChatCompletions = "/v1/chat/completions";
    private const string OneModel = "/v1/models/";

    private static readonly string Version = typeof(ApiRoutes).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";

    private readonly RequestBodies _bodies = new();
    private readonly ScoreRoom _scores = new();

    /// <summary>
    /// Handles every request. The few paths are told apart here, not by the framework's routing, whose binding of delegates compiles
    /// expression trees: that, and what it loads, would stay in the server's memory for five paths.
    /// </summary>
    public void Map(WebApplication app)
    {
        app.Use(ShapeErrorsAsync);
        app.Run(DispatchAsync);
    }

    private Task DispatchAsync(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "/";
        var ofMetrics = MetricsConnection.Is(context);
        if (!LocalHosts.Accepts((ofMetrics ? options.MetricsListen! : options.Listen).Address, context.Request.Host.Host))
            throw new ApiException(421, "invalid_request_error", $"The host is '{Shown(context.Request.Host.Host)}': {LocalHosts.Right(ofMetrics ? "--metrics-listen" : "--listen")}.", null, "wrong_host");
        return path switch
        {
            "/healthz" => Get(() => TextAsync(context, "ok\n")),
            // vLLM's name: benchmarks and gateways look there before they begin.
            "/readyz" or "/health" => Get(() => unready() is { } reason ? TextAsync(context, reason + "\n", StatusCodes.Status503ServiceUnavailable) : TextAsync(context, "ok\n")),
            "/metrics" when ofMetrics == options.MetricsListen is not null => Get(() => WriteMetricsAsync(context)),
            _ when ofMetrics => throw Nowhere(),
            "/v1/models" => Get(() => JsonBody.WriteAsync(context.Response, new JsonObject { ["object"] = "list", ["data"] = new JsonArray(Describe(Ready())) })),
            Completions => Post(PreparedRequest.Completion, model => new TextShape(model.Name, model.Tokenizer, clock.GetUtcNow())),
            ChatCompletions => Post((root, model) => PreparedRequest.Chat(root, model, clock), model => new ChatShape(model.Name, model.Tokenizer, clock.GetUtcNow())),
            "/version" => Get(() => JsonBody.WriteAsync(context.Response, new JsonObject { ["version"] = Version })),
            "/tokenize" => Text((root, model) => TokenizerAnswers.Tokenize(root, model, clock)),
            "/detokenize" => Text(TokenizerAnswers.Detokenize),
            _ when path.StartsWith(OneModel, StringComparison.Ordinal) => Get(() => JsonBody.WriteAsync(context.Response, Describe(Named(Unescaped(path[OneModel.Length..]), "model")))),
            _ => throw Nowhere(),
        };

        ApiException Nowhere() => new(404, "invalid_request_error", $"There is no {context.Request.Method} {path} here.", null, "unknown_url");

        Task Get(Func<Task> answer)
        {
            Only(HttpMethods.Get, HttpMethods.Head);
            return answer();
        }

        Task Post(Func<JsonElement, ServedModel, PreparedRequest> read, Func<ServedModel, AnswerShape> shape)
        {
            Only(HttpMethods.Post);
            return AnswerAsync(context, read, shape);
        }

        Task Text(Func<JsonElement, ServedModel, (string? Model, Func<JsonPipe, CancellationToken, Task> WriteAsync)> answer)
        {
            Only(HttpMethods.Post);
            return AnswerOfTokenizerAsync(context, answer);
        }

        void Only(params ReadOnlySpan<string> methods)
        {
            if (!methods.Contains(context.Request.Method))
                throw new ApiException(405, "invalid_request_error", $"{path} takes {methods[0]}, not {context.Request.Method}.", null, "method_not_allowed") { Allow = string.Join(", ", methods) };
        }
    }

    private async Task AnswerAsync(HttpContext context, Func<JsonElement, ServedModel, PreparedRequest> read, Func<ServedModel, AnswerShape> shape)
    {
        var stop = context.RequestAborted;
        var model = Ready();
        var rules = policy();
        var tenant = rules.Identity.Of(context.Request.Headers);
        // A flood must not cost what reading its prompts does.
        AskForRoom(() => model.Engine.CheckRoom(tenant));
        var request = await _bodies.ReadAsync(context.Request, tenant.Party, root => read(root, model), stop).ConfigureAwait(false);
        Named(request.Common.Model ?? throw ApiException.Invalid("model", "'model' is required.", "missing_required_parameter"), "model");
        var sequences = request.Sequences(model, tenant, rules.Public, options.MaxQueued + options.MaxSequences);
        using var scores = _scores.Enter(tenant.Party, sequences);
        IReadOnlyList<Generation> generations = [];
        AskForRoom(() => generations = model.Engine.Submit(sequences));
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

    /// <summary>What needs the tokenizer and not the model; from whom and how much is as with completions.</summary>
    private async Task AnswerOfTokenizerAsync(HttpContext context, Func<JsonElement, ServedModel, (string? Model, Func<JsonPipe, CancellationToken, Task> WriteAsync)> answer)
    {
        var model = Ready();
        var tenant = policy().Identity.Of(context.Request.Headers);
        AskForRoom(() => model.Engine.CheckRoom(tenant));
        var (name, writeAsync) = await _bodies.ReadAsync(context.Request, tenant.Party, root => answer(root, model), context.RequestAborted).ConfigureAwait(false);
        if (name is not null)
            Named(name, "model");
        context.Response.ContentType = JsonBody.ContentType;
        await using var pipe = new JsonPipe(context.Response.BodyWriter);
        await writeAsync(pipe, context.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>Says in HTTP's words why the engine takes no more.</summary>
    private void AskForRoom(Action ask)
    {
        try
        {
            ask();
        }
        catch (QueueFullException error)
        {
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

    /// <summary>A path as a text: the server has decoded it but for the one character that would part it.</summary>
    private static string Unescaped(string path) => path.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);

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

    private async Task WriteMetricsAsync(HttpContext context) =>
        await TextAsync(context, await metrics.ExportAsync(context.RequestAborted).ConfigureAwait(false), type: "text/plain; version=0.0.4; charset=utf-8").ConfigureAwait(false);

    private static Task TextAsync(HttpContext context, string text, int status = StatusCodes.Status200OK, string type = "text/plain; charset=utf-8")
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        return context.Response.WriteAsync(text, context.RequestAborted);
    }

    private async Task ShapeErrorsAsync(HttpContext context, RequestDelegate next)
    {
        ApiException failure;
        try
        {
            await next(context).ConfigureAwait(false);
            return;
        }
        catch (Exception error) when (error is ConnectionResetException || (error is OperationCanceledException && context.RequestAborted.IsCancellationRequested))
        {
            // The client has left, and Kestrel need not look for the rest of its body.
            context.Abort();
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
            // The message of an unforeseen error may hold anything: it goes neither to the client nor to the log.
            logger.LogError("A request failed: {Failure}", FailureText.Of(error));
            failure = new ApiException(500, "server_error", "The server failed to answer this request.");
        }

        if (context.Response.HasStarted)
        {
            context.Abort();
            return;
        }

        // Here, whoever refused: what clients are answered is what an operator of the server has to see.
        if (failure.Status == StatusCodes.Status429TooManyRequests)
            metrics.Rejected();
        context.Response.Clear();
        context.Response.StatusCode = failure.Status;
        if (failure.RetryAfter is { } seconds)
            context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        if (failure.Allow is { } method)
            context.Response.Headers.Allow = method;
        await JsonBody.WriteAsync(context.Response, failure.Body()).ConfigureAwait(false);
    }
}
