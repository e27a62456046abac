using k8s.Models;
using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>PromptOptimizationJob has one prompt, or a batch of them, worked on by a PromptOptimizer.</summary>
[KubernetesEntity(Group = ApiGroup.Name, ApiVersion = ApiGroup.Version, Kind = KindName, PluralName = "promptoptimizationjobs")]
[Resource("promptoptimizationjobs", "pojob")]
[PrinterColumn("Optimizer", ".spec.optimizerRef.name")]
[PrinterColumn("Complete", ".status.conditions[?(@.type=='Complete')].status")]
[PrinterColumn("Rounds", ".status.rounds", "integer")]
[PrinterColumn("Score", ".status.scorePercent", "integer")]
[PrinterColumn("Reason", ".status.conditions[?(@.type=='Complete')].reason", Priority = 1)]
[PrinterColumn("Age", ".metadata.creationTimestamp", "date")]
public sealed class PromptOptimizationJob : CustomResource<PromptOptimizationJobSpec, PromptOptimizationJobStatus>
{
    /// <summary>The kind's name.</summary>
    public const string KindName = "PromptOptimizationJob";

    /// <summary>Creates an empty resource.</summary>
    public PromptOptimizationJob() => Kind = KindName;
}

/// <summary>The prompts and the limits. Cannot be changed once made; delete the job to cancel it.</summary>
[CelRule("has(self.prompt) != has(self.prompts)", "exactly one of prompt and prompts must be set")]
[CelRule("self == oldSelf", "the spec of a PromptOptimizationJob cannot be changed: make a new job")]
public sealed class PromptOptimizationJobSpec
{
    /// <summary>The PromptOptimizer to use.</summary>
    public required LocalReference OptimizerRef { get; set; }

    /// <summary>One prompt.</summary>
    [Size(1, 8192)]
    public string? Prompt { get; set; }

    /// <summary>Several prompts.</summary>
    [Size(1, 64)]
    [ItemSize(1, 8192)]
    public List<string>? Prompts { get; set; }

    /// <summary>Dialects to write the result in. Absent: all.</summary>
    [Size(1, 8)]
    [ListSet]
    public List<PromptDialect>? Dialects { get; set; }

    /// <summary>Limits; each that is absent is the PromptOptimizer's.</summary>
    public RequestedBudget? Budget { get; set; }

    /// <summary>How long the job is kept after it has ended. Absent: for ever.</summary>
    [Duration]
    public string? TtlAfterFinished { get; set; }
}

/// <summary>Limits that a job names itself.</summary>
public sealed class RequestedBudget
{
    /// <summary>Rounds of refining and judging. Absent: the PromptOptimizer's rounds.max.</summary>
    [Range(1, 20)]
    public int? Rounds { get; set; }

    /// <summary>Tokens, prompts and answers together. Absent: the PromptOptimizer's.</summary>
    [Range(1, 100000000)]
    public int? Tokens { get; set; }

    /// <summary>Images. Absent: the PromptOptimizer's.</summary>
    [Range(0, 1000)]
    public int? Images { get; set; }

    /// <summary>Wall-clock time from acceptance. Absent: the PromptOptimizer's.</summary>
    [Duration]
    [CelRule(PositiveDuration.Rule, PositiveDuration.Message)]
    public string? Deadline { get; set; }
}

/// <summary>Dialects of image models.</summary>
public enum PromptDialect
{
    /// <summary>Stable Diffusion: weighted tags and a negative prompt.</summary>
    StableDiffusion,

    /// <summary>FLUX: one flowing description.</summary>
    Flux,

    /// <summary>Midjourney: description and parameters.</summary>
    Midjourney,

    /// <summary>DALL-E: full sentences.</summary>
    DallE,
}

/// <summary>What is, as the operator last saw it.</summary>
public sealed class PromptOptimizationJobStatus
{
    /// <summary>The generation of the spec that this status describes.</summary>
    public long? ObservedGeneration { get; set; }

    /// <summary>Accepted, Complete, Failed; Paused while the annotation asks for it.</summary>
    [ListMap("type")]
    public List<V1Condition>? Conditions { get; set; }

    /// <summary>Ids in the service, in the order of the prompts.</summary>
    [Size(0, 64)]
    public List<string>? JobIds { get; set; }

    /// <summary>When the first prompt was accepted.</summary>
    public DateTime? StartTime { get; set; }

    /// <summary>When the last prompt ended, or the service refused one.</summary>
    public DateTime? CompletionTime { get; set; }

    /// <summary>Rounds, over all prompts.</summary>
    public int? Rounds { get; set; }

    /// <summary>Tokens, over all prompts.</summary>
    public int? Tokens { get; set; }

    /// <summary>Lowest final score of the prompts.</summary>
    public int? ScorePercent { get; set; }

    /// <summary>Final prompts, in order. Absent when they are larger than 256Ki.</summary>
    [Size(0, 64)]
    public List<OptimizedPrompt>? Results { get; set; }

    /// <summary>The ConfigMap with the results when they are too large for a status, in 0.json the first. Above 1000Ki they stay in the service.</summary>
    public LocalReference? ResultConfigMapRef { get; set; }
}

/// <summary>A final prompt.</summary>
public sealed class OptimizedPrompt
{
    /// <summary>The prompt.</summary>
    public required string Prompt { get; set; }

    /// <summary>What the image must not show.</summary>
    public string? NegativePrompt { get; set; }

    /// <summary>The prompt in each dialect asked for, by its name.</summary>
    public Dictionary<string, string>? Dialects { get; set; }

    /// <summary>Final score.</summary>
    public int? ScorePercent { get; set; }
}
