using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Crds.Schema;
using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Dialects;
using Moebius.PromptOptimizer.Jobs;

namespace Moebius.PromptOptimizer.Api;

/// <summary>Body of <c>POST /v1/jobs</c>.</summary>
internal sealed class CreateJobRequest
{
    [Size(1, 128)]
    [Pattern("^[!-~]+$")]
    public string? IdempotencyKey { get; set; }

    [Size(1, 8192)]
    public required string Prompt { get; set; }

    [Size(1, 8)]
    public List<PromptDialect>? Dialects { get; set; }

    public RequestedBudget? Budget { get; set; }

    /// <summary>The job that this asks for, with the service's limits where it names none.</summary>
    public NewJob ToJob(JobLimits defaults)
    {
        var asked = JsonSerializer.Serialize(new { Prompt, Dialects, Budget }, Manifests.Json);
        return new(
            IdempotencyKey,
            Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(asked))),
            Prompt,
            Dialects is null ? Dialect.All : [.. Dialects.Distinct().Order()],
            new(
                Budget?.Rounds ?? defaults.Rounds,
                Budget?.Tokens ?? defaults.Tokens,
                Budget?.Images ?? defaults.Images,
                Budget?.Deadline is { } deadline ? Durations.Parse(deadline, "budget.deadline") : defaults.Deadline));
    }
}

/// <summary>Body of <c>POST /v1/jobs/{id}/feedback</c>.</summary>
internal sealed class FeedbackRequest
{
    [Size(1, 4096)]
    public required string Feedback { get; set; }
}
