using System.Text.Json;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.PromptOptimizers;

/// <summary>A job as the service describes it; what is not needed here is left out.</summary>
internal sealed class ServiceJob
{
    public required string Id { get; set; }

    public required ServiceJobState State { get; set; }

    public DateTimeOffset CreatedAt { get; set; }

    public DateTimeOffset? EndedAt { get; set; }

    public ServiceResult? Result { get; set; }

    public ServiceFailure? Failure { get; set; }

    public ServiceUsage Usage { get; set; } = new();

    public List<ServiceRound> Rounds { get; set; } = [];
}

/// <summary>A page of jobs.</summary>
internal sealed class ServiceJobs
{
    public required List<ServiceJobName> Items { get; set; }
}

internal sealed class ServiceJobName
{
    public required string Id { get; set; }
}

/// <summary>States of a job.</summary>
internal enum ServiceJobState
{
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

internal sealed class ServiceResult
{
    public required string Prompt { get; set; }

    public string? NegativePrompt { get; set; }

    public Dictionary<string, string>? Dialects { get; set; }

    public int? ScorePercent { get; set; }
}

internal sealed class ServiceFailure
{
    public string? Reason { get; set; }

    public string? Message { get; set; }
}

internal sealed class ServiceUsage
{
    public long Tokens { get; set; }
}

internal sealed class ServiceRound
{
    public int Number { get; set; }
}

/// <summary>Status of a PromptOptimizationJob, from what the service says.</summary>
internal static class JobStatusPlanner
{
    public static IReadOnlyList<string> Prompts(PromptOptimizationJobSpec spec) => spec.Prompts ?? (IReadOnlyList<string>)[spec.Prompt!];

    public static bool HasEnded(PromptOptimizationJob job) =>
        job.Status?.Conditions?.Any(condition => condition is { Type: ConditionTypes.Complete or ConditionTypes.Failed, Status: "True" }) == true;

    /// <summary>The status of a job that nothing is done for: what is known stays, and whether it is paused is told.</summary>
    public static PromptOptimizationJobStatus Paused(PromptOptimizationJob resource, DateTimeOffset now)
    {
        // A copy: what is in the cache is what the server has.
        var status = JsonSerializer.SerializeToNode(resource.Status ?? new PromptOptimizationJobStatus(), Manifests.Json).Deserialize<PromptOptimizationJobStatus>(Manifests.Json)!;
        status.ObservedGeneration = resource.Metadata.Generation;
        var known = (status.Conditions ?? []).Where(condition => condition.Type != ConditionTypes.Paused).ToList();
        status.Conditions = [.. known, .. Conditions.Merge(status.Conditions, Pause(resource), resource.Metadata.Generation, now)];
        return status;
    }

    /// <summary>
    /// The conditions as events tell of them. Why a prompt has no result may be an endpoint's words, which may quote the
    /// prompt: who reads the job reads its prompts too, who reads events need not.
    /// </summary>
    public static IEnumerable<V1Condition>? ForEvents(PromptOptimizationJobStatus? status) => status?.Conditions?.Select(condition =>
        condition is { Type: ConditionTypes.Failed, Reason: Reasons.JobFailed } && condition.Message?.Split(": ", 3) is [var prompt, var reason, _]
            ? new V1Condition { Type = condition.Type, Status = condition.Status, Reason = condition.Reason, Message = $"{prompt}: {reason}: status.conditions of the job has the message" }
            : condition);

    /// <summary>Plans the status.</summary>
    /// <param name="resource">The resource.</param>
    /// <param name="jobs">Its jobs in the service, in order of the prompts; fewer when the service did not answer.</param>
    /// <param name="problem">What stands in the way.</param>
    /// <param name="now">The time.</param>
    /// <returns>The status, and the ConfigMap that it refers to, if any: that must be there first.</returns>
    public static (PromptOptimizationJobStatus Status, V1ConfigMap? Map) Plan(PromptOptimizationJob resource, IReadOnlyList<ServiceJob> jobs, Problem? problem, DateTimeOffset now)
    {
        var before = resource.Status;
        var all = problem is null ? Prompts(resource.Spec).Count : int.MaxValue;
        var known = jobs.Count == all;
        var ended = known && jobs.All(job => job.State is ServiceJobState.Succeeded or ServiceJobState.Failed or ServiceJobState.Cancelled);
        var succeeded = ended && jobs.All(job => job is { State: ServiceJobState.Succeeded, Result: not null });
        var results = succeeded ? JobResults.Of(resource, jobs) : null;
        var status = new PromptOptimizationJobStatus
        {
            ObservedGeneration = resource.Metadata.Generation,
            Conditions = Conditions.Merge(before?.Conditions, Planned(resource, jobs, problem, known, ended, results).Concat(Pause(resource)), resource.Metadata.Generation, now),
            JobIds = jobs.Count >= (before?.JobIds?.Count ?? 0) && jobs.Count > 0 ? [.. jobs.Select(job => job.Id)] : before?.JobIds,
            StartTime = before?.StartTime ?? (jobs.Count > 0 ? Second(jobs.Min(job => job.CreatedAt)) : null),
            CompletionTime = ended ? Second(jobs.Max(job => job.EndedAt) ?? now) : problem is { Reason: Reasons.JobRefused } ? before?.CompletionTime ?? Second(now) : null,
            Rounds = known ? jobs.Sum(job => job.Rounds.Count) : before?.Rounds,
            Tokens = known ? (int)jobs.Aggregate(0L, (sum, job) => Math.Clamp(sum + Math.Clamp(job.Usage.Tokens, 0, int.MaxValue), 0, int.MaxValue)) : before?.Tokens,
            ScorePercent = succeeded ? jobs.Min(job => job.Result!.ScorePercent) : null,
            Results = results?.Status,
            ResultConfigMapRef = results?.Map is { } map ? new LocalReference { Name = map.Metadata.Name } : null,
        };
        return (status, results?.Map);
    }

    private static IEnumerable<PlannedCondition> Planned(PromptOptimizationJob resource, IReadOnlyList<ServiceJob> jobs, Problem? problem, bool known, bool ended, JobResults? results)
    {
        var accepted = known || (resource.Status?.JobIds is { } ids && ids.Count == Prompts(resource.Spec).Count);
        yield return accepted
            ? new(ConditionTypes.Accepted, ConditionStatus.True, Reasons.JobAccepted, "the service has taken all prompts")
            : new(ConditionTypes.Accepted, ConditionStatus.False, problem?.Reason ?? Reasons.ServiceUnreachable, problem?.Message ?? "not handed in yet");
        yield return results is not null
            ? new(ConditionTypes.Complete, ConditionStatus.True, Reasons.JobSucceeded, Told(results))
            : new(ConditionTypes.Complete, ConditionStatus.False, problem?.Reason ?? (ended ? Reasons.JobFailed : Reasons.JobRunning), problem?.Message ?? $"{jobs.Count(job => job.State == ServiceJobState.Succeeded)} of {jobs.Count} prompts have a result");

        // The prompt itself never goes into a message: others may read events.
        var failed = jobs.Select((job, index) => (job, index)).FirstOrDefault(one => one.job.State is ServiceJobState.Failed or ServiceJobState.Cancelled);
        if (ended && results is null)
            yield return new(ConditionTypes.Failed, ConditionStatus.True, Reasons.JobFailed, failed.job is null ? "a prompt has no result" : $"prompt {failed.index}: {failed.job.Failure?.Reason ?? failed.job.State.ToString()}: {failed.job.Failure?.Message ?? "no reason given"}");
        else if (problem is { Reason: Reasons.JobRefused })
            yield return new(ConditionTypes.Failed, ConditionStatus.True, problem.Reason, problem.Message);
        else
            yield return new(ConditionTypes.Failed, ConditionStatus.False, Reasons.AsExpected, "no prompt has failed");
    }

    private static IEnumerable<PlannedCondition> Pause(PromptOptimizationJob resource)
    {
        if (Labels.IsPaused(resource))
            yield return new(ConditionTypes.Paused, ConditionStatus.True, Reasons.Paused, Labels.PausedMessage);
        else if (Labels.PausedProblem(resource) is { } problem)
            yield return new(ConditionTypes.Paused, ConditionStatus.False, problem.Reason, problem.Message);
    }

    private static string Told(JobResults results) => results switch
    {
        { Status: not null } => "every prompt has a result",
        { Map: { } map } => $"every prompt has a result; they are in the ConfigMap '{map.Metadata.Name}'",
        _ => $"every prompt has a result; with {Quantities.Format(results.Bytes)} they are too large for the cluster: ask the service for the jobs in status.jobIds",
    };

    private static DateTime Second(DateTimeOffset time) => new(time.UtcDateTime.Ticks - (time.UtcDateTime.Ticks % TimeSpan.TicksPerSecond), DateTimeKind.Utc);
}
