using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Planning.PromptOptimizers;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Webhook;

/// <summary>What the webhook says of an object.</summary>
/// <param name="Errors">Why it is refused; empty when it is not.</param>
/// <param name="Warnings">What its author should know all the same.</param>
internal sealed record AdmissionVerdict(IReadOnlyList<string> Errors, IReadOnlyList<string> Warnings)
{
    public static AdmissionVerdict Admitted { get; } = new([], []);
}

/// <summary>What else there is, for references.</summary>
internal interface IAdmissionView
{
    ServerCapabilities Server { get; }

    T? Find<T>(string? @namespace, string name)
        where T : class, IKubernetesObject<V1ObjectMeta>;

    IReadOnlyList<MemorySchedulingProfile> Profiles { get; }
}

/// <summary>
/// The planners' own checks at the door. A spec that can never be right is refused. What may become right later, because
/// manifests arrive in any order, is a warning: a reference to nothing, an API that the server lacks.
/// </summary>
internal static class AdmissionCheck
{
    private static readonly IReadOnlyDictionary<string, V1ConfigMap> NoTexts = new Dictionary<string, V1ConfigMap>();

    /// <summary>Judges an object.</summary>
    /// <param name="after">The object as it is to be.</param>
    /// <param name="before">As it is; null when it is new.</param>
    /// <param name="settings">The operator's settings.</param>
    /// <param name="view">Other objects.</param>
    public static AdmissionVerdict Judge(JsonObject after, JsonObject? before, OperatorSettings settings, IAdmissionView view)
    {
        // Labels, finalizers and deletion must work whatever the spec is: rules may have become stricter since.
        if (after["metadata"]?["deletionTimestamp"] is not null || (before is not null && JsonNode.DeepEquals(before["spec"], after["spec"])))
            return AdmissionVerdict.Admitted;
        try
        {
            var verdict = Sorted(Problems(after, settings, view, out var resource));
            return verdict.Errors.Count > 0 || resource is null ? verdict : verdict with { Warnings = [.. verdict.Warnings, .. Advice.Of(resource)] };
        }
        catch (UserInputException error)
        {
            return new AdmissionVerdict([error.Message], []);
        }
    }

    private static AdmissionVerdict Sorted(IEnumerable<Problem> problems)
    {
        var all = problems.ToList();
        return new AdmissionVerdict(
            [.. all.Where(IsFinal).Select(problem => problem.Message)],
            [.. all.Where(problem => !IsFinal(problem)).Select(problem => problem.Message)]);
    }

    private static bool IsFinal(Problem problem) => problem is { Blocks: true, Reason: Reasons.InvalidSpec or Reasons.InsufficientMemory };

    private static IReadOnlyList<Problem> Problems(JsonObject document, OperatorSettings settings, IAdmissionView view, out object? resource)
    {
        const string Source = "object";
        resource = null;
        var kind = (string?)document["kind"];
        // Only what a user writes is judged; the rest may be of a newer version.
        var written = new JsonObject { ["apiVersion"] = document["apiVersion"]?.DeepClone(), ["kind"] = kind, ["metadata"] = document["metadata"]?.DeepClone(), ["spec"] = document["spec"]?.DeepClone() };
        (written["metadata"] as JsonObject)?.Remove("managedFields");
        switch (kind)
        {
            case MoEDeployment.KindName:
                var deployment = Manifests.Convert<MoEDeployment>(written, Source);
                resource = deployment;
                return Deployment(deployment, document["status"], settings, view);
            case KVPrivacyPolicy.KindName:
                var policy = Manifests.Convert<KVPrivacyPolicy>(written, Source);
                resource = policy;
                return [.. KVPrivacyPolicyPlanner.Problems(policy)];
            case MemorySchedulingProfile.KindName:
                return MemorySchedulingProfilePlanner.Plan(Manifests.Convert<MemorySchedulingProfile>(written, Source), view.Profiles, settings, view.Server).Problems;
            case PromptOptimizer.KindName:
                var optimizer = Manifests.Convert<PromptOptimizer>(written, Source);
                resource = optimizer;
                return PromptOptimizerPlanner.Plan(optimizer, Find<MoEDeployment>(view, optimizer.Metadata.NamespaceProperty, optimizer.Spec?.LanguageModel?.MoeDeploymentRef), settings, view.Server).Problems;
            case PromptOptimizationJob.KindName:
                var job = Manifests.Convert<PromptOptimizationJob>(written, Source);
                if (SpecCheck.Errors(job.Spec, "spec") is { Count: > 0 } errors)
                    return [.. errors.Select(error => new Problem(Reasons.InvalidSpec, error.ToString(), Blocks: true))];
                return Find<PromptOptimizer>(view, job.Metadata.NamespaceProperty, job.Spec.OptimizerRef) is null
                    ? [new Problem(Reasons.OptimizerNotFound, $"spec.optimizerRef.name: there is no PromptOptimizer '{job.Spec.OptimizerRef.Name}' in namespace '{job.Metadata.NamespaceProperty}' yet", Blocks: false)]
                    : [];
            default:
                return [];
        }
    }

    private static IReadOnlyList<Problem> Deployment(MoEDeployment resource, JsonNode? status, OperatorSettings settings, IAdmissionView view)
    {
        var policy = Find<KVPrivacyPolicy>(view, resource.Metadata.NamespaceProperty, resource.Spec?.KVCache?.PolicyRef);
        var profile = Find<MemorySchedulingProfile>(view, null, resource.Spec?.MemorySchedulingProfileRef);
        if (status is JsonObject known)
            resource.Status = System.Text.Json.JsonSerializer.Deserialize<MoEDeploymentStatus>(known, WireJson.Options);
        var references = new MoEReferences(policy, policy is null ? null : KVPrivacyPolicyPlanner.Plan(policy, NoTexts), profile)
        {
            ProfilePlan = profile is null ? null : MemorySchedulingProfilePlanner.Plan(profile, view.Profiles, settings, view.Server),
        };
        var problems = MoEDeploymentPlanner.Plan(resource, references with { Preparation = ModelPreparation.Of(resource, null, []) }, settings, view.Server).Problems;
        // Its texts are not looked up here: only the policy itself can be wrong.
        return [.. problems.Where(problem => problem.Reason != Reasons.PolicyInvalid || policy is null || KVPrivacyPolicyPlanner.Problems(policy).Any(one => one.Blocks))];
    }

    private static T? Find<T>(IAdmissionView view, string? @namespace, LocalReference? reference)
        where T : class, IKubernetesObject<V1ObjectMeta> => reference?.Name is { Length: > 0 } name ? view.Find<T>(@namespace, name) : null;
}
