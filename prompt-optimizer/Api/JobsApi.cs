using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Api;

/// <summary>The HTTP API under <c>/v1</c>.</summary>
internal sealed class JobsApi(JobStore store, JobRunner runner, JobEvents events, OptimizerSettings settings, ILogger<JobsApi> logger)
{
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/jobs", (Delegate)CreateAsync);
        routes.MapGet("/v1/jobs", List);
        routes.MapGet("/v1/jobs/{id}", (string id) => Wire.Json(View(Find(id))));
        routes.MapDelete("/v1/jobs/{id}", Delete);
        routes.MapPost("/v1/jobs/{id}/feedback", FeedbackAsync);
        routes.MapGet("/v1/jobs/{id}/events", (string id, HttpContext context) =>
        {
            Find(id);
            return events.StreamAsync(id, context);
        });
        routes.MapGet("/v1/jobs/{id}/rounds/{round:int}/image", Image);
    }

    private async Task<IResult> CreateAsync(HttpContext context)
    {
        var request = await Wire.ReadAsync<CreateJobRequest>(context).ConfigureAwait(false);
        CheckText("prompt", request.Prompt, "what the image should show");
        var creation = store.Create(request.ToJob(settings.DefaultLimits));
        if (creation.Job is not { } job)
            return Wire.Json(new Problem(StatusCodes.Status409Conflict, "The key was used for another request",
                $"idempotencyKey: '{request.IdempotencyKey}' names an earlier job with another prompt, dialects or budget: use a new key",
                new Dictionary<string, string[]> { ["idempotencyKey"] = ["names an earlier job with another prompt, dialects or budget: use a new key"] }));
        context.Response.Headers.Location = $"/v1/jobs/{job.Id}";
        return Wire.Json(View(job), creation.Created ? StatusCodes.Status201Created : StatusCodes.Status200OK);
    }

    private IResult List(HttpContext context)
    {
        var limit = 50;
        long? before = null;
        string? key = null;
        JobState? state = null;
        foreach (var (name, values) in context.Request.Query)
        {
            var value = values.ToString();
            switch (name)
            {
                case "limit":
                    if (!int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out limit) || limit is < 1 or > 200)
                        return Wire.Json(Problem.Of("limit", "write a whole number from 1 to 200"));
                    break;
                case "before":
                    if (!long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var sequence))
                        return Wire.Json(Problem.Of("before", "write the 'next' of an earlier page"));
                    before = sequence;
                    break;
                case "idempotencyKey":
                    key = value;
                    break;
                case "state":
                    // The parser also takes numbers, signs and lists of names.
                    if (!Enum.GetNames<JobState>().Contains(value) || !Enum.TryParse<JobState>(value, out var wanted))
                        return Wire.Json(Problem.Of("state", $"write one of {string.Join(", ", Enum.GetNames<JobState>())}"));
                    state = wanted;
                    break;
                default:
                    return Wire.Json(Problem.Of("query", "unknown parameter: write limit, before, state or idempotencyKey"));
            }
        }

        var rows = store.List(state, before, key, limit + 1);
        foreach (var row in rows.Where(row => row.Problem is not null))
            logger.LogError("{Problem}", row.Problem);
        return Wire.Json(new JobList(
            [.. rows.Take(limit).Select(JobSummary.Of)],
            rows.Count > limit ? rows[limit - 1].Sequence.ToString(CultureInfo.InvariantCulture) : null));
    }

    private IResult Delete(string id, HttpContext context)
    {
        // A slip in "purge" must not cancel a job instead.
        if (context.Request.Query.Keys.Any(name => name != "purge"))
            return Wire.Json(Problem.Of("query", "unknown parameter: write purge, or none"));
        var purge = context.Request.Query["purge"].ToString();
        if (purge is not ("" or "true"))
            return Wire.Json(Problem.Of("purge", "write true, or leave it out"));
        // Not read before: a job that cannot be must not stay for ever.
        if (purge == "true" && store.Purge(id))
            return Results.NoContent();
        var job = Find(id);
        if (purge == "true")
            return Wire.Json(new Problem(StatusCodes.Status409Conflict, "The job has not ended", $"purge: job '{id}' is {job.State}: cancel it first, or wait"));
        if (job.Ended)
            return Wire.Json(View(job));
        var cancelled = store.RequestCancel(id) ?? throw new ProblemException(Problem.NotFound(id));
        runner.Interrupt(id);
        return Wire.Json(View(cancelled), cancelled.Ended ? StatusCodes.Status200OK : StatusCodes.Status202Accepted);
    }

    private async Task<IResult> FeedbackAsync(string id, HttpContext context)
    {
        var request = await Wire.ReadAsync<FeedbackRequest>(context).ConfigureAwait(false);
        CheckText("feedback", request.Feedback, "what should change");
        // What stands in the way is what stood there when the feedback came, not before: another may have come first.
        var (taken, job) = store.AddFeedback(id, request.Feedback) ?? throw new ProblemException(Problem.NotFound(id));
        if (taken)
            return Wire.Json(View(job), StatusCodes.Status202Accepted);
        return Wire.Json(new Problem(StatusCodes.Status409Conflict, "No feedback possible now", job switch
        {
            { Ended: false } => $"feedback: job '{id}' is {job.State}: wait until it has ended",
            { Outcome: null } => $"feedback: job '{id}' has no result that feedback could be about",
            _ => $"feedback: job '{id}' has had {JobStore.MaxFeedback} pieces of feedback, the most allowed: make a new job",
        }));
    }

    private IResult Image(string id, int round, HttpContext context)
    {
        Find(id);
        if (store.Image(id, round) is not { } image)
            return Wire.Json(new Problem(StatusCodes.Status404NotFound, "No such image", $"round: round {round} of job '{id}' has no image"));
        // A finished round never changes.
        context.Response.Headers.CacheControl = "private, max-age=86400, immutable";
        return Results.Bytes(image.Bytes, image.MediaType);
    }

    private Job Find(string id) => store.Get(id) ?? throw new ProblemException(Problem.NotFound(id));

    private JobView View(Job job) => JobView.Of(job, settings.AcceptScorePercent);

    private static void CheckText(string field, string text, string right)
    {
        if (string.IsNullOrWhiteSpace(text))
            throw new ProblemException(Problem.Of(field, $"is blank: say {right}"));
        if (text.Any(character => char.IsControl(character) && character is not ('\n' or '\r' or '\t')))
            throw new ProblemException(Problem.Of(field, "holds control characters other than line breaks and tabs: remove them"));
    }
}
