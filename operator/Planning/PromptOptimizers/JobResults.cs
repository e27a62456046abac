using System.Text;
using System.Text.Json;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning.Validation;

namespace Moebius.Operator.Planning.PromptOptimizers;

/// <summary>Where the results of a job's prompts go: into its status, or into a ConfigMap when they are too large for that.</summary>
/// <param name="Status">For the status; null: not there.</param>
/// <param name="Map">The ConfigMap; null: not there.</param>
/// <param name="Bytes">What all of them take.</param>
internal sealed record JobResults(List<OptimizedPrompt>? Status, V1ConfigMap? Map, long Bytes)
{
    /// <summary>Largest results in a status, which everybody who lists jobs is sent.</summary>
    public const int MaxInStatus = 256 * 1024;

    /// <summary>Largest results in a ConfigMap: the API server takes 1 MiB of data, names of entries included.</summary>
    public const int MaxInMap = 1000 * 1024;

    private const string Suffix = "-results";
    private const int LongestName = 253;

    /// <summary>Sorts the results of prompts that all have one.</summary>
    public static JobResults Of(PromptOptimizationJob resource, IReadOnlyList<ServiceJob> jobs)
    {
        var results = jobs.Select(job => new OptimizedPrompt
        {
            Prompt = job.Result!.Prompt,
            NegativePrompt = job.Result.NegativePrompt,
            Dialects = job.Result.Dialects,
            ScorePercent = job.Result.ScorePercent,
        }).ToList();
        // As they are stored: a text may take several bytes for a character.
        var texts = results.ConvertAll(result => JsonSerializer.Serialize(result, Manifests.Json));
        var bytes = texts.Sum(text => (long)Encoding.UTF8.GetByteCount(text));
        return bytes <= MaxInStatus ? new JobResults(results, null, bytes)
            : bytes <= MaxInMap ? new JobResults(null, ToMap(resource, texts), bytes)
            : new JobResults(null, null, bytes);
    }

    /// <summary>The ConfigMap: an entry for each prompt, <c>0.json</c> the first.</summary>
    private static V1ConfigMap ToMap(PromptOptimizationJob resource, List<string> texts)
    {
        var name = resource.Metadata.Name;
        var map = new ChildBuilder(resource, Components.PromptOptimizer, resource.Metadata.NamespaceProperty)
            .ConfigMap(Cut(name, LongestName - Suffix.Length) + Suffix, texts.Select((text, index) => (text, index)).ToDictionary(one => $"{one.index}.json", one => one.text));
        // The names of jobs have no limit of their own, and labels have one.
        map.Metadata.Labels[Labels.Instance] = Cut(name, NameCheck.LabelLength);
        return map;
    }

    private static string Cut(string name, int length) => name.Length > length ? name[..length].TrimEnd('-', '.') : name;
}
