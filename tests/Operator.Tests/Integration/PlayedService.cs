using System.Collections.Concurrent;
using System.Net;
using System.Text.Json.Nodes;

namespace Moebius.Operator.Tests.Integration;

/// <summary>The service of a PromptOptimizer, as it answers the operator.</summary>
internal sealed class PlayedService : HttpMessageHandler
{
    public ConcurrentDictionary<string, string> Jobs { get; } = new();

    public ConcurrentBag<string> Cancelled { get; } = [];

    public ConcurrentBag<string> Hosts { get; } = [];

    public ConcurrentDictionary<string, string> Prompts { get; } = new();

    /// <summary>Limits that were asked for, by prompt, as JSON; empty: none.</summary>
    public ConcurrentDictionary<string, string> Budgets { get; } = new();

    public volatile string State = "Running";

    public string Better { get; init; } = "better";

    public volatile bool Down;

    public bool Refuses { get; init; }

    /// <summary>A prompt that is refused, while the others are taken.</summary>
    public string? Refused { get; init; }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Hosts.Add(request.RequestUri!.Authority);
        if (Down)
            throw new HttpRequestException("no route");
        string id;
        if (request.Method == HttpMethod.Post)
        {
            if (Refuses)
                return Answer(HttpStatusCode.UnprocessableEntity, new JsonObject { ["title"] = "No such dialect" });
            var body = JsonNode.Parse(await request.Content!.ReadAsStringAsync(cancellationToken))!;
            if (Refused == (string)body["prompt"]!)
                return Answer(HttpStatusCode.BadRequest, new JsonObject { ["detail"] = "prompt: is blank: say what the image should show" });
            id = Jobs.GetOrAdd((string)body["idempotencyKey"]!, _ => Guid.NewGuid().ToString("N"));
            Prompts[id] = (string)body["prompt"]!;
            Budgets[Prompts[id]] = body["budget"]?.ToJsonString() ?? "";
        }
        else
        {
            if (request.RequestUri.Query.StartsWith("?idempotencyKey=", StringComparison.Ordinal))
                return Answer(HttpStatusCode.OK, new JsonObject { ["items"] = new JsonArray() });
            id = request.RequestUri.Segments[^1];
            if (request.RequestUri.Query == "?purge=true")
            {
                // As the real service: what runs cannot be removed.
                if (State == "Running" && !Cancelled.Contains(id))
                    return Answer(HttpStatusCode.Conflict, new JsonObject { ["title"] = "The job has not ended" });
                return Prompts.TryRemove(id, out _) ? new HttpResponseMessage(HttpStatusCode.NoContent) : Answer(HttpStatusCode.NotFound, new JsonObject { ["title"] = "No such job" });
            }

            if (request.Method == HttpMethod.Delete)
                Cancelled.Add(id);
        }

        var job = new JsonObject
        {
            ["id"] = id,
            ["state"] = State,
            ["createdAt"] = "2026-01-01T00:00:00Z",
            ["rounds"] = new JsonArray(new JsonObject { ["number"] = 1, ["agent"] = "x" }),
            ["usage"] = new JsonObject { ["tokens"] = 7 },
        };
        if (State == "Succeeded")
            job["result"] = new JsonObject { ["prompt"] = $"{Better} {Prompts[id]}", ["negativePrompt"] = "", ["dialects"] = new JsonObject { ["Flux"] = "x" }, ["scorePercent"] = 90, ["accepted"] = true };
        // What an endpoint says of a prompt may quote it.
        if (State == "Failed")
            job["failure"] = new JsonObject { ["reason"] = "ModelRejected", ["message"] = $"languageModel: HTTP 400: our rules forbid: {Prompts[id]}" };
        return Answer(HttpStatusCode.OK, job);
    }

    private static HttpResponseMessage Answer(HttpStatusCode status, JsonObject body) => new(status) { Content = new StringContent(body.ToJsonString()) };
}
