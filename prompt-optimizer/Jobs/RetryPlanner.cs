using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>How jobs are tried again. The figures are ours.</summary>
/// <param name="Attempts">Failed attempts at one step before the job fails.</param>
/// <param name="FirstDelay">Wait after the first; doubled each time.</param>
/// <param name="LongestDelay">Longest wait, unless the endpoint asks for more.</param>
internal sealed record JobTiming(int Attempts, TimeSpan FirstDelay, TimeSpan LongestDelay)
{
    public static JobTiming Default { get; } = new(6, TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(5));
}

/// <summary>What to do with a job after an error: try again at a time, or fail.</summary>
internal sealed record RetryDecision(DateTimeOffset? NotBefore, Failure? Failure);

/// <summary>Decides what an error means for a job: a pure function.</summary>
internal static class RetryPlanner
{
    /// <summary>Wait after a failed attempt that so many came before.</summary>
    public static TimeSpan BackOff(int attemptsBefore, JobTiming timing) =>
        TimeSpan.FromTicks((long)Math.Min(timing.FirstDelay.Ticks * Math.Pow(2, attemptsBefore), timing.LongestDelay.Ticks));

    public static RetryDecision Decide(Exception error, int attemptsBefore, DateTimeOffset now, DateTimeOffset deadline, JobTiming timing)
    {
        switch (error)
        {
            case InvalidOutputException:
                return new(null, new(FailureReason.InvalidModelOutput, error.Message));
            case ModelRejectedException:
                return new(null, new(FailureReason.ModelRejected, error.Message));
            case ModelUnavailableException unavailable:
                var attempts = attemptsBefore + 1;
                if (attempts >= timing.Attempts)
                    return new(null, new(FailureReason.ModelUnavailable, $"{error.Message}; given up after {attempts} attempts"));
                var backOff = BackOff(attemptsBefore, timing);
                var wait = unavailable.RetryAfter is { } asked && asked > backOff ? asked : backOff;
                // Waking at the deadline lets the planner end the job with what it has.
                return new(now + wait < deadline ? now + wait : deadline, null);
            default:
                // The message of an unforeseen error may quote anything; its type is enough for the owner, the log says where.
                return new(null, new(FailureReason.InternalError, $"internal error ({error.GetType().Name})"));
        }
    }
}
