using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Jobs;
using Moebius.PromptOptimizer.Models;
using Moebius.PromptOptimizer.Tests.Models;

namespace Moebius.PromptOptimizer.Tests.Jobs;

public sealed class JobPlannerTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly Intent Intent = new("", "lion", ["a lion"], [], [], "", "");

    [Fact]
    public void A_new_job_starts_with_its_intent() => Assert.IsType<Step.InferIntent>(Next(Job()));

    [Fact]
    public void A_round_follows_the_intent_and_the_best_round_is_revised()
    {
        Assert.Equal(new Step.Refine(1, null), Next(Job() with { Intent = Intent }));
        var job = Job(50, 70, 60) with { Intent = Intent, Limits = Limits(9) };
        Assert.Equal(new Step.Refine(4, job.Rounds[1]), Next(job));
    }

    [Fact]
    public void It_ends_when_accepted_when_the_rounds_are_used_at_the_deadline_and_out_of_tokens()
    {
        Assert.Equal(new Step.Finish(new(2, EndReason.Accepted)), Next(Job(10, 80)));
        Assert.Equal(new Step.Finish(new(2, EndReason.RoundsUsed)), Next(Job(10, 60, 60)));
        Assert.Equal(new Step.Finish(new(1, EndReason.DeadlineExceeded)), Next(Job(10), minutes: 10));
        Assert.Equal(new Step.Finish(new(1, EndReason.TokensUsed)), Next(Job(10), outOfTokens: "x"));
        Assert.Equal(FailureReason.DeadlineExceeded, Assert.IsType<Step.Fail>(Next(Job(), minutes: 10)).Failure.Reason);
        Assert.Equal(FailureReason.TokensUsed, Assert.IsType<Step.Fail>(Next(Job(), outOfTokens: "x")).Failure.Reason);
        Assert.IsType<Step.Cancel>(Next(Job(90) with { CancelRequested = true }));
    }

    [Fact]
    public void Feedback_starts_from_the_result_and_judges_its_own_rounds()
    {
        var job = Job(90) with { Intent = Intent, Outcome = new(1, EndReason.Accepted) };
        job = job with { Turns = [.. job.Turns, new(1, "darker", Now, Now.AddMinutes(10), Usage.None)] };
        var tune = Assert.IsType<Step.Tune>(Next(job));
        Assert.Equal((2, "darker", job.Rounds[0].Draft), (tune.RoundNumber, tune.Feedback, tune.From));
        // A worse attempt than the first turn's result is still the one that follows the feedback.
        job = job with { Rounds = [.. job.Rounds, Round(2, 60) with { Turn = 1 }], Limits = Limits(1) };
        Assert.Equal(new Step.Finish(new(2, EndReason.RoundsUsed)), Next(job));
    }

    [Fact]
    public void Verdicts_say_why()
    {
        var job = Job(50, 70, 70) with { State = JobState.Succeeded, Outcome = new(2, EndReason.RoundsUsed) };
        Assert.Equal(
            [
                new(false, "scored 50, below round 2 with 70"),
                new(true, "scored 70, below the 80 asked for, but the best when the job ended (RoundsUsed)"),
                new(false, "scored 70, no better than round 2"),
            ],
            JobPlanner.Verdicts(job, 80));
    }

    [Fact]
    public void Errors_are_retried_only_where_that_helps()
    {
        var timing = new JobTiming(3, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(8));
        var deadline = Now.AddMinutes(1);
        var unavailable = new ModelUnavailableException("x", "", null);
        Assert.Equal(Now.AddSeconds(5), RetryPlanner.Decide(unavailable, 0, Now, deadline, timing).NotBefore);
        Assert.Equal(Now.AddSeconds(8), RetryPlanner.Decide(unavailable, 1, Now, deadline, timing).NotBefore);
        Assert.Equal(FailureReason.ModelUnavailable, RetryPlanner.Decide(unavailable, 2, Now, deadline, timing).Failure!.Reason);
        Assert.Equal(Now.AddSeconds(30), RetryPlanner.Decide(new ModelUnavailableException("x", "", TimeSpan.FromSeconds(30)), 0, Now, deadline, timing).NotBefore);
        Assert.Equal(Now.AddSeconds(5), RetryPlanner.Decide(new ModelUnavailableException("x", "", TimeSpan.FromSeconds(1)), 0, Now, deadline, timing).NotBefore);
        Assert.Equal(deadline, RetryPlanner.Decide(new ModelUnavailableException("x", "", TimeSpan.FromHours(1)), 0, Now, deadline, timing).NotBefore);
        Assert.Equal(FailureReason.ModelRejected, RetryPlanner.Decide(new ModelRejectedException("x", "", 401), 0, Now, deadline, timing).Failure!.Reason);
        Assert.DoesNotContain("lion", RetryPlanner.Decide(new InvalidOperationException("a lion"), 0, Now, deadline, timing).Failure!.Message, StringComparison.Ordinal);
    }

    private static Step Next(Job job, int minutes = 0, string? outOfTokens = null) => JobPlanner.Next(job, 80, Now.AddMinutes(minutes), outOfTokens);

    private static JobLimits Limits(int rounds) => new(rounds, 1000, 1, TimeSpan.FromMinutes(10));

    private static Round Round(int number, int score) => new(
        number, 0, "scene-and-style", TextChecksTests.Draft($"draft {number}"),
        new(score, new(score, false, []), new(score, [], [], [], []), null, []), false, [], Now, Now, Usage.None);

    private static Job Job(params int[] scores) => new()
    {
        Id = "pj-1",
        Fingerprint = "",
        Prompt = "a lion",
        Dialects = [],
        Limits = Limits(3),
        State = JobState.Running,
        CreatedAt = Now,
        Turns = [new(0, null, Now, Now.AddMinutes(10), Usage.None)],
        Rounds = [.. scores.Select((score, index) => Round(index + 1, score))],
    };
}
