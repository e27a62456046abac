using System.Security.Cryptography;
using System.Text;
using k8s;
using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Planning.PromptOptimizers;

namespace Moebius.Operator.Planning;

/// <summary>A resource and its plan.</summary>
/// <param name="Resource">The resource.</param>
/// <param name="Plan">What it is to become.</param>
public sealed record PlannedResource(IKubernetesObject<V1ObjectMeta> Resource, Plan Plan);

/// <summary>The planners as one function over a whole manifest, for running without a cluster.</summary>
public static class ManifestPlanner
{
    private const string DefaultNamespace = "default";

    /// <summary>
    /// Plans all Moebius resources of a manifest against each other, in their order. Resources without namespace or UID
    /// get the ones that make the children's metadata complete.
    /// </summary>
    /// <param name="resources">Resources of any of the five kinds, and ConfigMaps that they refer to; others are ignored.</param>
    /// <param name="settings">The operator's settings.</param>
    /// <param name="server">What to plan for.</param>
    public static IReadOnlyList<PlannedResource> Plan(IReadOnlyList<object> resources, OperatorSettings settings, ServerCapabilities server)
    {
        var owners = resources.OfType<IKubernetesObject<V1ObjectMeta>>().Where(IsOurs).ToList();
        foreach (var owner in owners)
            Complete(owner);
        var maps = resources.OfType<V1ConfigMap>().ToList();
        return [.. owners.Select(owner => new PlannedResource(owner, PlanOne(owner, owners, maps, settings, server)))];
    }

    /// <summary>
    /// What the operator refuses in resources whatever else there is in a cluster: what an object refers to may be there
    /// already, and the API server may be of any version. What only a condition tells, because nobody may be kept from stopping
    /// pods, is not refused.
    /// </summary>
    /// <param name="resources">Resources of any of the five kinds.</param>
    /// <returns>A resource and why it is refused, once for each reason.</returns>
    public static IEnumerable<(object Resource, string Problem)> Refusals(IReadOnlyList<object> resources) =>
        from planned in Plan(resources, OperatorSettings.Default, ServerCapabilities.Latest)
        from problem in planned.Plan.Problems
        where problem.Blocks && problem.Reason is Reasons.InvalidSpec or Reasons.UnsupportedField or Reasons.InsufficientMemory
        select ((object)planned.Resource, problem.Message);

    private static Plan PlanOne(
        IKubernetesObject<V1ObjectMeta> owner,
        List<IKubernetesObject<V1ObjectMeta>> all,
        List<V1ConfigMap> maps,
        OperatorSettings settings,
        ServerCapabilities server)
    {
        switch (owner)
        {
            case KVPrivacyPolicy policy:
                return PolicyPlan(policy, maps);
            case MemorySchedulingProfile profile:
                return MemorySchedulingProfilePlanner.Plan(profile, all.OfType<MemorySchedulingProfile>(), settings, server);
            case MoEDeployment deployment:
                var referred = Find<KVPrivacyPolicy>(deployment.Spec?.KVCache?.PolicyRef, deployment, all);
                var profiles = all.OfType<MemorySchedulingProfile>().ToList();
                var named = deployment.Spec?.MemorySchedulingProfileRef is { } reference ? profiles.Find(profile => profile.Metadata.Name == reference.Name) : null;
                return MoEDeploymentPlanner.Plan(
                    deployment,
                    new MoEReferences(referred, referred is null ? null : PolicyPlan(referred, maps), named)
                    {
                        ProfilePlan = named is null ? null : MemorySchedulingProfilePlanner.Plan(named, profiles, settings, server),
                        Preparation = ModelPreparation.Inline,
                    },
                    settings,
                    server);
            case PromptOptimizer optimizer:
                return PromptOptimizerPlanner.Plan(optimizer, Find<MoEDeployment>(optimizer.Spec?.LanguageModel?.MoeDeploymentRef, optimizer, all), settings, server);
            case PromptOptimizationJob job:
                return new Plan([], [.. SpecCheck.Errors(job.Spec, "spec").Select(error => new Problem(Reasons.InvalidSpec, error.ToString(), Blocks: true))], []);
            default:
                throw new InvalidOperationException($"{owner.Kind}: no planner");
        }
    }

    private static Plan PolicyPlan(KVPrivacyPolicy policy, List<V1ConfigMap> maps) => KVPrivacyPolicyPlanner.Plan(
        policy,
        maps.Where(map => (map.Metadata.NamespaceProperty ?? DefaultNamespace) == policy.Metadata.NamespaceProperty)
            .GroupBy(map => map.Metadata.Name)
            .ToDictionary(group => group.Key, group => group.Last()));

    private static T? Find<T>(LocalReference? reference, IKubernetesObject<V1ObjectMeta> from, List<IKubernetesObject<V1ObjectMeta>> all)
        where T : class, IKubernetesObject<V1ObjectMeta> =>
        reference is null ? null : all.OfType<T>().FirstOrDefault(one => one.Metadata.Name == reference.Name && one.Metadata.NamespaceProperty == from.Metadata.NamespaceProperty);

    private static bool IsOurs(IKubernetesObject<V1ObjectMeta> resource) =>
        resource is MoEDeployment or KVPrivacyPolicy or MemorySchedulingProfile or PromptOptimizer or PromptOptimizationJob;

    private static void Complete(IKubernetesObject<V1ObjectMeta> owner)
    {
        owner.Metadata ??= new V1ObjectMeta();
        owner.Metadata.Name ??= "";
        if (owner is not MemorySchedulingProfile)
            owner.Metadata.NamespaceProperty ??= DefaultNamespace;
        owner.Metadata.Generation ??= 1;
        var identity = $"{owner.Kind}/{owner.Metadata.NamespaceProperty}/{owner.Metadata.Name}";
        owner.Metadata.Uid ??= new Guid(SHA256.HashData(Encoding.UTF8.GetBytes(identity)).AsSpan(0, 16)).ToString();
    }
}
