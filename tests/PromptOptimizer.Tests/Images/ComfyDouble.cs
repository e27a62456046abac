using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Moebius.PromptOptimizer.Tests.Images;

/// <summary>
/// A double of ComfyUI: the queue, history and files of its API over real HTTP. It runs no graph. What it answers follows
/// that program's source; the program itself is not run by these tests.
/// </summary>
internal sealed class ComfyDouble : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Lock _lock = new();
    private readonly List<string> _pending = [];
    private readonly JsonObject _history = [];
    private readonly List<string> _log = [];
    private string? _running;

    private ComfyDouble(WebApplication app) => _app = app;

    /// <summary>Bodies of POST prompt.</summary>
    public List<JsonObject> Prompts { get; } = [];

    /// <summary>Every request: method, path and, of a POST, what it names.</summary>
    public string[] Log
    {
        get
        {
            lock (_lock)
                return [.. _log];
        }
    }

    /// <summary>Authorization headers.</summary>
    public List<string> Authorizations { get; } = [];

    /// <summary>Whether a workflow may begin.</summary>
    public bool Starts { get; set; } = true;

    /// <summary>Whether a workflow that runs may end.</summary>
    public bool Ends { get; set; } = true;

    /// <summary>Whether it takes the client's id, as releases since 2025 do.</summary>
    public bool TakesIds { get; set; } = true;

    /// <summary>Refuses a workflow, by its number from 1.</summary>
    public Func<int, IResult?> Refusal { get; set; } = _ => null;

    /// <summary>The status with which a workflow ends; null for that of success.</summary>
    public Func<JsonObject?> Status { get; set; } = () => null;

    /// <summary>The outputs with which a workflow ends; null for an image.</summary>
    public Func<JsonObject?> Outputs { get; set; } = () => null;

    public string Url => _app.Urls.First();

    public IReadOnlyCollection<string> History
    {
        get
        {
            lock (_lock)
                return [.. _history.Select(entry => entry.Key)];
        }
    }

    public (string? Running, IReadOnlyList<string> Pending) Queue
    {
        get
        {
            lock (_lock)
                return (_running, [.. _pending]);
        }
    }

    public static async Task<ComfyDouble> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var server = new ComfyDouble(builder.Build());
        server._app.Use((context, next) =>
        {
            lock (server._lock)
                server.Authorizations.Add(context.Request.Headers.Authorization.ToString());
            return next(context);
        });
        server._app.MapPost("/prompt", (Delegate)server.PromptAsync);
        server._app.MapGet("/history/{id}", server.HistoryOf);
        server._app.MapGet("/queue", server.GetQueue);
        server._app.MapPost("/queue", (Delegate)(async (HttpContext context) => server.Delete("queue", await BodyAsync(context), server._pending.Remove)));
        server._app.MapPost("/history", (Delegate)(async (HttpContext context) => server.Delete("history", await BodyAsync(context), server._history.Remove)));
        server._app.MapPost("/interrupt", (Delegate)(async (HttpContext context) => server.Interrupt(await BodyAsync(context))));
        server._app.MapGet("/view", (string filename, string subfolder, string type) => server.View(filename, subfolder, type));
        await server._app.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    /// <summary>A workflow of somebody else's, in the queue.</summary>
    public void AddOther(string id)
    {
        lock (_lock)
            _pending.Add(id);
    }

    /// <summary>Forgets all workflows, as a restart does.</summary>
    public void Restart()
    {
        lock (_lock)
        {
            _pending.Clear();
            _running = null;
            _history.Clear();
        }
    }

    private static async Task<JsonObject> BodyAsync(HttpContext context) => (await JsonNode.ParseAsync(context.Request.Body))!.AsObject();

    private static JsonArray Item(string id) => [0, id, new JsonObject(), new JsonObject(), new JsonArray("preview")];

    private async Task<IResult> PromptAsync(HttpContext context)
    {
        var body = await BodyAsync(context);
        lock (_lock)
        {
            Prompts.Add(body);
            _log.Add("POST prompt");
            if (Refusal(Prompts.Count) is { } refusal)
                return refusal;
            var id = TakesIds ? (string)body["prompt_id"]! : Guid.NewGuid().ToString("D");
            _pending.Add(id);
            return Results.Json(new { prompt_id = id, number = Prompts.Count, node_errors = new { } });
        }
    }

    private IResult HistoryOf(string id)
    {
        lock (_lock)
        {
            _log.Add("GET history");
            Advance();
            return Results.Text(_history[id] is { } entry ? new JsonObject { [id] = entry.DeepClone() }.ToJsonString() : "{}", "application/json");
        }
    }

    private IResult GetQueue()
    {
        lock (_lock)
        {
            _log.Add("GET queue");
            JsonArray running = _running is null ? [] : [Item(_running)];
            return Results.Text(new JsonObject { ["queue_running"] = running, ["queue_pending"] = new JsonArray([.. _pending.Select(Item)]) }.ToJsonString(), "application/json");
        }
    }

    private IResult Delete(string where, JsonObject body, Func<string, bool> remove)
    {
        lock (_lock)
        {
            foreach (var id in body["delete"]!.AsArray())
            {
                _log.Add($"POST {where} delete");
                remove((string)id!);
            }
        }

        return Results.Ok();
    }

    private IResult Interrupt(JsonObject body)
    {
        lock (_lock)
        {
            _log.Add("POST interrupt");
            // A release that does not know the id breaks off whatever runs.
            if (_running is not null && (!TakesIds || (string?)body["prompt_id"] == _running))
                End(new JsonObject { ["status_str"] = "error", ["completed"] = false, ["messages"] = new JsonArray(new JsonArray("execution_interrupted", new JsonObject { ["node_type"] = "KSampler" })) });
        }

        return Results.Ok();
    }

    private IResult View(string filename, string subfolder, string type)
    {
        lock (_lock)
            _log.Add($"GET view {type}/{subfolder}/{filename}");
        return filename == "ComfyUI_temp_ä_00001_.png" ? Results.Bytes(Convert.FromBase64String(ImageClient.Pixel), "image/png") : Results.NotFound();
    }

    private void Advance()
    {
        if (_running is not null && Ends)
            End(null);
        if (_running is null && _pending.Count > 0 && Starts)
        {
            _running = _pending[0];
            _pending.RemoveAt(0);
        }
    }

    private void End(JsonObject? status)
    {
        var outputs = status is not null ? [] : Outputs() ?? new JsonObject
        {
            ["preview"] = new JsonObject { ["images"] = new JsonArray(new JsonObject { ["filename"] = "ComfyUI_temp_ä_00001_.png", ["subfolder"] = "", ["type"] = "temp" }) },
        };
        _history[_running!] = new JsonObject
        {
            ["prompt"] = Item(_running!),
            ["outputs"] = outputs,
            ["status"] = status ?? Status() ?? new JsonObject { ["status_str"] = "success", ["completed"] = true, ["messages"] = new JsonArray(new JsonArray("execution_start", new JsonObject())) },
        };
        _running = null;
    }
}
