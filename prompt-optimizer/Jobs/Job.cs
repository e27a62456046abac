using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>Where a job stands.</summary>
internal enum JobState
{
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// <summary>Why no further round was made of a job that has a result.</summary>
internal enum EndReason
{
    Accepted,
    RoundsUsed,
    TokensUsed,
    DeadlineExceeded,
}

/// <summary>Why a job has no result.</summary>
internal enum FailureReason
{
    TokensUsed,
    DeadlineExceeded,
    InvalidModelOutput,
    ModelUnavailable,
    ModelRejected,
    WorkerDied,
    InternalError,
}

/// <summary>A failure in words for the job's owner.</summary>
internal sealed record Failure(FailureReason Reason, string Message);

/// <summary>What was spent.</summary>
/// <param name="InputTokens">Tokens sent.</param>
/// <param name="OutputTokens">Tokens received.</param>
/// <param name="Images">Images made.</param>
/// <param name="ModelMilliseconds">Time spent waiting for models.</param>
internal sealed record Usage(long InputTokens, long OutputTokens, int Images, long ModelMilliseconds)
{
    public static Usage None { get; } = new(0, 0, 0, 0);

    public long Tokens => InputTokens + OutputTokens;

    public static Usage operator +(Usage one, Usage other) => new(
        one.InputTokens + other.InputTokens, one.OutputTokens + other.OutputTokens, one.Images + other.Images, one.ModelMilliseconds + other.ModelMilliseconds);

    public static Usage operator -(Usage one, Usage other) => new(
        one.InputTokens - other.InputTokens, one.OutputTokens - other.OutputTokens, one.Images - other.Images, one.ModelMilliseconds - other.ModelMilliseconds);
}

/// <summary>The first request (number 0) or one piece of feedback (from 1); each has the job's limits to itself.</summary>
internal sealed record Turn(int Number, string? Feedback, DateTimeOffset AcceptedAt, DateTimeOffset DeadlineAt, Usage Usage);

/// <summary>A finished round: a draft and how it was judged. Numbers count from 1 over all turns.</summary>
internal sealed record Round(
    int Number,
    int Turn,
    string Agent,
    PromptDraft Draft,
    Scores Scores,
    bool HasImage,
    IReadOnlyList<string> Notes,
    DateTimeOffset StartedAt,
    DateTimeOffset FinishedAt,
    Usage Usage);

/// <summary>How a turn ended with a result.</summary>
internal sealed record Outcome(int Round, EndReason Reason);

/// <summary>A job as it is stored.</summary>
internal sealed record Job
{
    public required string Id { get; init; }

    /// <summary>Position in the order of acceptance.</summary>
    public long Sequence { get; init; }

    public string? IdempotencyKey { get; init; }

    public required string Fingerprint { get; init; }

    public required string Prompt { get; init; }

    public required IReadOnlyList<PromptDialect> Dialects { get; init; }

    public required JobLimits Limits { get; init; }

    public required JobState State { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? EndedAt { get; init; }

    /// <summary>Failed attempts since the last finished step.</summary>
    public int Attempts { get; init; }

    /// <summary>Not to be taken up before.</summary>
    public DateTimeOffset? NotBefore { get; init; }

    public bool CancelRequested { get; init; }

    /// <summary>The service that has it in hand while it runs.</summary>
    public string? Worker { get; init; }

    public Intent? Intent { get; init; }

    public Outcome? Outcome { get; init; }

    public Failure? Failure { get; init; }

    public required IReadOnlyList<Turn> Turns { get; init; }

    public required IReadOnlyList<Round> Rounds { get; init; }

    public Turn CurrentTurn => Turns[^1];

    public bool Ended => State is JobState.Succeeded or JobState.Failed or JobState.Cancelled;
}
