using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>What to do next with a job.</summary>
internal abstract record Step
{
    /// <summary>Infer the intent.</summary>
    internal sealed record InferIntent : Step;

    /// <summary>Write a draft, or revise the best one so far, and judge it.</summary>
    internal sealed record Refine(int RoundNumber, Round? From) : Step;

    /// <summary>Follow the turn's feedback, or mend the best attempt at it, and judge the result.</summary>
    internal sealed record Tune(int RoundNumber, PromptDraft From, string Feedback, IReadOnlyList<string> Issues) : Step;

    /// <summary>End with a result.</summary>
    internal sealed record Finish(Outcome Outcome) : Step;

    /// <summary>End without one.</summary>
    internal sealed record Fail(Failure Failure) : Step;

    /// <summary>End because the user said so.</summary>
    internal sealed record Cancel : Step;
}

/// <summary>Decides a job's next step from what is stored of it: a pure function, so a job resumes anywhere.</summary>
internal static class JobPlanner
{
    /// <param name="job">The job as stored.</param>
    /// <param name="acceptPercent">Score at which no further round is made.</param>
    /// <param name="now">The time.</param>
    /// <param name="outOfTokens">What the last call said if the remaining tokens did not suffice for it.</param>
    public static Step Next(Job job, int acceptPercent, DateTimeOffset now, string? outOfTokens = null)
    {
        if (job.CancelRequested)
            return new Step.Cancel();
        var turn = job.CurrentTurn;
        var rounds = job.Rounds.Where(round => round.Turn == turn.Number).ToList();
        var best = Best(rounds);
        if (best is not null && best.Scores.Percent >= acceptPercent)
            return new Step.Finish(new(best.Number, EndReason.Accepted));
        if (best is not null && rounds.Count >= job.Limits.Rounds)
            return new Step.Finish(new(best.Number, EndReason.RoundsUsed));
        if (now >= turn.DeadlineAt)
            return best is not null
                ? new Step.Finish(new(best.Number, EndReason.DeadlineExceeded))
                : new Step.Fail(new(FailureReason.DeadlineExceeded, $"budget.deadline: no round was finished within {job.Limits.Deadline.TotalSeconds:0.###} s of acceptance"));
        if (outOfTokens is not null)
            return best is not null
                ? new Step.Finish(new(best.Number, EndReason.TokensUsed))
                : new Step.Fail(new(FailureReason.TokensUsed, $"budget.tokens: {job.Limits.Tokens} did not suffice for one round: {outOfTokens}"));
        if (job.Intent is null)
            return new Step.InferIntent();
        var number = job.Rounds.Count == 0 ? 1 : job.Rounds[^1].Number + 1;
        if (turn.Feedback is null)
            return new Step.Refine(number, best);
        if (best is not null)
            return new Step.Tune(number, best.Draft, turn.Feedback, best.Scores.Issues);
        // Feedback is about the result; where the last attempt at feedback failed, that is still the result before it.
        return job.Outcome is { } outcome
            ? new Step.Tune(number, job.Rounds.First(round => round.Number == outcome.Round).Draft, turn.Feedback, [])
            : throw new InvalidOperationException($"job {job.Id} has feedback but no result");
    }

    /// <summary>The highest score; of equals the earliest, which strays least from the request.</summary>
    public static Round? Best(IEnumerable<Round> rounds) => rounds.OrderByDescending(round => round.Scores.Percent).ThenBy(round => round.Number).FirstOrDefault();

    /// <summary>For every round, whether it was kept, and why, in words.</summary>
    public static IReadOnlyList<Verdict> Verdicts(Job job, int acceptPercent) =>
        [.. job.Rounds.Select(round => Judge(round, [.. job.Rounds.Where(other => other.Turn == round.Turn)], job, acceptPercent))];

    private static Verdict Judge(Round round, List<Round> turn, Job job, int acceptPercent)
    {
        var best = Best(turn)!;
        var score = round.Scores.Percent;
        if (round.Number != best.Number)
            return new(false, best.Scores.Percent == score
                ? $"scored {score}, no better than round {best.Number}"
                : $"scored {score}, below round {best.Number} with {best.Scores.Percent}");
        if (score >= acceptPercent)
            return new(true, $"scored {score}, at or above the {acceptPercent} asked for");
        var current = round.Turn == job.CurrentTurn.Number;
        return new(true, (current && !job.Ended) || job.Outcome?.Round != round.Number
            ? $"scored {score}, the best so far, below the {acceptPercent} asked for"
            : $"scored {score}, below the {acceptPercent} asked for, but the best when the job ended ({job.Outcome.Reason})");
    }
}

/// <summary>Whether a round's draft was kept, and why.</summary>
internal sealed record Verdict(bool Kept, string Reason);
