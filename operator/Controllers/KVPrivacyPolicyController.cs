using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>Renders policies for the sidecars, and lists who uses them.</summary>
[EntityRbac(typeof(KVPrivacyPolicy), typeof(MoEDeployment), Verbs = RbacVerbs.Read)]
[EntityRbac(typeof(KVPrivacyPolicy), Verbs = RbacVerbs.Update, Subresource = "status")]
[EntityRbac(typeof(KVPrivacyPolicy), Verbs = RbacVerbs.Update, Subresource = "finalizers")]
[EntityRbac(typeof(V1ConfigMap), Verbs = RbacVerbs.Own)]
internal sealed class KVPrivacyPolicyController(ControllerContext context) : IEntityController<KVPrivacyPolicy>
{
    public const string Name = "kvprivacypolicy";

    /// <summary>How often texts in foreign ConfigMaps are read again: those are not watched.</summary>
    private static readonly TimeSpan ReadAgain = TimeSpan.FromMinutes(1);

    /// <summary>How often sidecars are asked while one of them still runs an older generation.</summary>
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(5);

    /// <inheritdoc />
    public async Task<ReconciliationResult<KVPrivacyPolicy>> ReconcileAsync(KVPrivacyPolicy entity, CancellationToken cancellationToken)
    {
        var maps = await ConfigMapsAsync(context.Api, entity, cancellationToken).ConfigureAwait(false);
        context.Advise(entity);
        var plan = context.UnlessPaused(entity, context.Plan(Name, () => KVPrivacyPolicyPlanner.Plan(entity, maps)));
        var (applying, _) = await context.Children.ApplyAsync(entity, plan, cancellationToken).ConfigureAwait(false);
        var (users, refusals) = await UsersAsync(entity, cancellationToken).ConfigureAwait(false);
        // A policy that could not be written, or is not taken, is not ready.
        var problems = plan.Problems.Concat(applying.Concat(refusals).Select(problem => problem with { Blocks = true })).ToList();
        await context.WriteStatusAsync(
            entity,
            context.Informers.Policies.Cache,
            entity.Status,
            StatusPlanner.KVPrivacyPolicy(entity, problems, plan, users, context.Time.GetUtcNow()),
            (resource, status) => new KVPrivacyPolicy { Metadata = resource.Metadata, Spec = resource.Spec, Status = status },
            status => status?.Conditions,
            cancellationToken).ConfigureAwait(false);
        if (applying.Count > 0)
            return ControllerContext.Result(entity, applying);
        if (refusals.Count > 0 || users.Any(user => user.Generation is { } generation && generation != entity.Metadata.Generation))
            return ReconciliationResult<KVPrivacyPolicy>.Success(entity, AskAgain);
        return users.Count > 0 || KVPrivacyPolicyPlanner.ConfigMaps(entity).Count > 0
            ? ReconciliationResult<KVPrivacyPolicy>.Success(entity, ReadAgain)
            : ReconciliationResult<KVPrivacyPolicy>.Success(entity);
    }

    /// <summary>MoEDeployments that refer to a policy, by name, which generation of it their sidecars run, and which sidecars refuse it.</summary>
    private async Task<(IReadOnlyList<PolicyUser> Users, IReadOnlyList<Problem> Refusals)> UsersAsync(KVPrivacyPolicy policy, CancellationToken cancellationToken)
    {
        var @namespace = policy.Metadata.NamespaceProperty;
        var names = context.Informers.MoEDeployments.Cache.List()
            .Where(user => user.Metadata.NamespaceProperty == @namespace && user.Metadata.DeletionTimestamp is null && user.Spec?.KVCache?.PolicyRef?.Name == policy.Metadata.Name)
            .Select(user => user.Metadata.Name)
            .Order(StringComparer.Ordinal)
            .ToList();
        var reports = await Task.WhenAll(names
            .Take(StatusPlanner.MaxUsers)
            .Select(name => context.Reports.PolicyAsync(context.Pods(Components.Inference, name, @namespace), policy.Metadata.Generation, cancellationToken))).ConfigureAwait(false);
        return (
            [.. names.Select((name, index) => new PolicyUser { Name = name, Generation = reports.ElementAtOrDefault(index)?.Generation })],
            [.. names.Zip(reports).Where(user => user.Second.Refusals > 0).Select(user => new Problem(
                Reasons.PolicyRefused,
                $"{(user.Second.Refusals == 1 ? "1 pod" : $"{user.Second.Refusals} pods")} of MoEDeployment '{user.First}' {(user.Second.Refusals == 1 ? "refuses the newest policy and goes" : "refuse the newest policy and go")} on with {(user.Second.Generation is { } generation ? $"generation {generation}" : "an older one")}: 'kubectl logs POD -c {InferencePod.KVCacheContainer}' of one says why; correct the policy, or provide the Secret or claim that it names",
                Blocks: true))]);
    }

    /// <inheritdoc />
    public Task<ReconciliationResult<KVPrivacyPolicy>> DeletedAsync(KVPrivacyPolicy entity, CancellationToken cancellationToken)
    {
        context.Forget(entity);
        return Task.FromResult(ReconciliationResult<KVPrivacyPolicy>.Success(entity));
    }

    /// <summary>The ConfigMaps that a policy takes texts from.</summary>
    internal static async Task<IReadOnlyDictionary<string, V1ConfigMap>> ConfigMapsAsync(ApiClient api, KVPrivacyPolicy policy, CancellationToken cancellationToken)
    {
        var found = new Dictionary<string, V1ConfigMap>();
        foreach (var name in KVPrivacyPolicyPlanner.ConfigMaps(policy))
        {
            if (await api.FindAsync<V1ConfigMap>(new ObjectKey(policy.Metadata.NamespaceProperty, name), cancellationToken).ConfigureAwait(false) is { } map)
                found[name] = map;
        }

        return found;
    }
}
