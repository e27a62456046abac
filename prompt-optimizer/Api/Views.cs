using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Dialects;
using Moebius.PromptOptimizer.Jobs;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Api;

/// <summary>A job as clients see it.</summary>
internal sealed record JobView(
    string Id,
    JobState State,
    string? IdempotencyKey,
    string Prompt,
    IReadOnlyList<string> Dialects,
    LimitsView Budget,
    DateTimeOffset CreatedAt,
    DateTimeOffset? StartedAt,
    DateTimeOffset? EndedAt,
    DateTimeOffset DeadlineAt,
    bool CancelRequested,
    RetryView? Retry,
    ResultView? Result,
    Failure? Failure,
    UsageView Usage,
    Intent? Intent,
    IReadOnlyList<FeedbackView> Feedback,
    IReadOnlyList<RoundView> Rounds)
{
    public static JobView Of(Job job, int acceptPercent)
    {
        var verdicts = JobPlanner.Verdicts(job, acceptPercent);
        var result = job.Outcome is { } outcome ? job.Rounds.First(round => round.Number == outcome.Round) : null;
        return new(
            job.Id, job.State, job.IdempotencyKey, job.Prompt, [.. job.Dialects.Select(dialect => dialect.ToString())], LimitsView.Of(job.Limits),
            job.CreatedAt, job.StartedAt, job.EndedAt, job.CurrentTurn.DeadlineAt, job.CancelRequested,
            job is { State: JobState.Queued, NotBefore: { } time } ? new(job.Attempts, time) : null,
            result is null ? null : ResultView.Of(job, result, acceptPercent),
            job.Failure,
            UsageView.Of(job),
            job.Intent,
            [.. job.Turns.Where(turn => turn.Feedback is not null).Select(turn => new FeedbackView(turn.Number, turn.Feedback!, turn.AcceptedAt))],
            [.. job.Rounds.Select((round, index) => RoundView.Of(job, round, verdicts[index]))]);
    }
}

/// <summary>A job in a list; of one that cannot be read, its id and the problem.</summary>
internal sealed record JobSummary(
    string Id, JobState? State, string? Prompt, DateTimeOffset? CreatedAt, DateTimeOffset? EndedAt, int? Rounds, int? ScorePercent, FailureReason? FailureReason, string? Problem)
{
    public static JobSummary Of(JobRow row) => row.Job is { } job
        ? new(
            job.Id, job.State, job.Prompt, job.CreatedAt, job.EndedAt, job.Rounds.Count,
            job.Outcome is { } outcome ? job.Rounds.First(round => round.Number == outcome.Round).Scores.Percent : null,
            job.Failure?.Reason, null)
        : new(row.Id, null, null, null, null, null, null, null, row.Problem);
}

/// <summary>A page of jobs, newest first; <c>next</c> is the cursor of the following page.</summary>
internal sealed record JobList(IReadOnlyList<JobSummary> Items, string? Next);

internal sealed record LimitsView(int Rounds, int Tokens, int Images, string Deadline)
{
    public static LimitsView Of(JobLimits limits)
    {
        var milliseconds = (long)limits.Deadline.TotalMilliseconds;
        return new(limits.Rounds, limits.Tokens, limits.Images, milliseconds % 1000 == 0 ? $"{milliseconds / 1000}s" : $"{milliseconds}ms");
    }
}

internal sealed record RetryView(int Attempts, DateTimeOffset NotBefore);

/// <summary>What a job ends with.</summary>
internal sealed record ResultView(
    string Prompt,
    string NegativePrompt,
    IReadOnlyDictionary<string, string> Dialects,
    int ScorePercent,
    bool Accepted,
    int Round,
    EndReason EndReason)
{
    public static ResultView Of(Job job, Round round, int acceptPercent) => new(
        round.Draft.Prompt,
        StableDiffusion.Negative(round.Draft),
        Dialect.WriteAll(job.Dialects, round.Draft, [.. round.Scores.Evaluation.Elements.Where(element => element.Present).Select(element => element.Quote!)]),
        round.Scores.Percent,
        round.Scores.Percent >= acceptPercent,
        round.Number,
        job.Outcome!.Reason);
}

/// <summary>Tokens, images and model time of a round or of a whole job; elapsed time is the round's, or that of the job's latest turn with its waits.</summary>
internal sealed record UsageView(long Tokens, long InputTokens, long OutputTokens, int Images, long ModelMilliseconds, long? ElapsedMilliseconds)
{
    public static UsageView Of(Usage usage, long? elapsed) => new(usage.Tokens, usage.InputTokens, usage.OutputTokens, usage.Images, usage.ModelMilliseconds, elapsed);

    public static UsageView Of(Job job) => Of(
        job.Turns.Aggregate(Usage.None, (sum, turn) => sum + turn.Usage),
        job.EndedAt is { } ended ? (long)(ended - job.CurrentTurn.AcceptedAt).TotalMilliseconds : null);
}

internal sealed record FeedbackView(int Number, string Text, DateTimeOffset AcceptedAt);

/// <summary>A round with its scores, and why its draft was kept or dropped.</summary>
internal sealed record RoundView(
    int Number,
    int Feedback,
    string Agent,
    bool Kept,
    string Reason,
    PromptDraft Draft,
    Scores Scores,
    string? ImageUrl,
    IReadOnlyList<string> Notes,
    DateTimeOffset StartedAt,
    DateTimeOffset FinishedAt,
    UsageView Usage)
{
    public static RoundView Of(Job job, Round round, Verdict verdict) => new(
        round.Number, round.Turn, round.Agent, verdict.Kept, verdict.Reason, round.Draft, round.Scores,
        round.HasImage ? $"/v1/jobs/{job.Id}/rounds/{round.Number}/image" : null,
        round.Notes, round.StartedAt, round.FinishedAt,
        UsageView.Of(round.Usage, (long)(round.FinishedAt - round.StartedAt).TotalMilliseconds));
}
