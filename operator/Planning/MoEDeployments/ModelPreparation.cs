using k8s.Models;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>How far a remote model's download is.</summary>
public enum FetchState
{
    /// <summary>No Job has been seen.</summary>
    NotStarted,

    /// <summary>A Job is at work.</summary>
    Running,

    /// <summary>The Job has given up.</summary>
    Failed,

    /// <summary>The files are in the store.</summary>
    Done,

    /// <summary>There is no cluster to run Jobs: the pod fetches the model itself before it starts.</summary>
    Inline,
}

/// <summary>What is known of the model's files.</summary>
/// <param name="State">How far the download is; of no meaning for models that are mounted.</param>
/// <param name="Message">Why it failed, or what it waits for or failed at last.</param>
/// <param name="Facts">Sizes; null until somebody has read the files.</param>
public sealed record ModelPreparation(FetchState State, string? Message, ModelFacts? Facts)
{
    /// <summary>Nothing is known.</summary>
    public static ModelPreparation None { get; } = new(FetchState.NotStarted, null, null);

    /// <summary>Without a cluster.</summary>
    public static ModelPreparation Inline { get; } = new(FetchState.Inline, null, null);

    /// <summary>Reads the Job and the pods of a MoEDeployment.</summary>
    /// <param name="resource">The MoEDeployment; its status remembers sizes whose pods are gone.</param>
    /// <param name="job">The Job that fetches the model; null when there is none.</param>
    /// <param name="pods">Its fetching and its inference pods.</param>
    public static ModelPreparation Of(MoEDeployment resource, V1Job? job, IEnumerable<V1Pod> pods)
    {
        if (resource.Spec is not { Model.Source: not null, Experts: not null } spec)
            return None;
        var all = pods.ToList();
        var facts = Reported(spec, all) ?? Remembered(spec, resource.Status?.Memory);
        var failure = ContainerFailure.In(all).FirstOrDefault(failure => failure.Container == ModelFetch.ContainerName)?.ToString();
        var fetching = all.Where(pod => pod.Metadata.Labels is { } labels && labels.TryGetValue(Labels.Component, out var component) && component == Components.ModelFetch).ToList();
        if (job is null)
            return new ModelPreparation(FetchState.NotStarted, null, facts);
        if (Has(job, "Complete"))
            return new ModelPreparation(FetchState.Done, null, facts);
        if (Has(job, "Failed"))
            return new ModelPreparation(FetchState.Failed, failure ?? job.Status.Conditions.First(condition => condition.Type == "Failed").Message ?? "no message", facts);
        return new ModelPreparation(FetchState.Running, failure is null ? Waiting(job, fetching) : $"the last attempt failed: {failure}", facts);
    }

    /// <summary>A Job says nothing of pods that it cannot make.</summary>
    private static string? Waiting(V1Job job, List<V1Pod> pods) => pods.Count == 0
        ? $"Job '{job.Metadata.Name}' has no pod yet; if it stays so, its events say why"
        : UnscheduledPod.In(pods);

    private static bool Has(V1Job job, string type) => job.Status?.Conditions?.Any(condition => condition.Type == type && condition.Status == "True") == true;

    private static ModelFacts? Reported(MoEDeploymentSpec spec, List<V1Pod> pods)
    {
        // Pods of another source, such as those that are being replaced, say nothing about this one.
        var key = ModelFetch.SizeKey(spec);
        return pods
            .Where(pod => Labels.ModelSourceOf(pod.Metadata) == key)
            .OrderByDescending(pod => pod.Metadata.CreationTimestamp)
            .SelectMany(pod => (pod.Status?.InitContainerStatuses ?? []).Concat(pod.Status?.ContainerStatuses ?? []))
            .Where(status => status.Name is ModelFetch.ContainerName or ModelSizeCheck.ContainerName)
            .Select(status => ModelFacts.TryParse((status.State?.Terminated ?? status.LastState?.Terminated)?.Message))
            .FirstOrDefault(facts => facts is not null);
    }

    private static ModelFacts? Remembered(MoEDeploymentSpec spec, ModelMemoryStatus? memory) =>
        memory is { DenseBytes: { } dense, ExpertBytes: { } experts, SmallestExpertBytes: { } smallest, KVBytesPerToken: { } kv } && memory.Source == ModelFetch.SizeKey(spec)
            ? new ModelFacts(dense, experts, smallest, kv, memory.StepBytesPerToken ?? 0, Predictor(memory.Predictor))
            : null;

    private static PredictorFacts? Predictor(ModelPredictorStatus? predictor) =>
        predictor is { Bytes: { } bytes, BytesPerLayerAhead: { } ahead, Layers: { } layers, StepBytesPerLayerAhead: { } step } ? new PredictorFacts(bytes, ahead, layers, step) : null;
}
