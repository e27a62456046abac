using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
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

    /// <inheritdoc />
    public async Task<ReconciliationResult<KVPrivacyPolicy>> ReconcileAsync(KVPrivacyPolicy entity, CancellationToken cancellationToken)
    {
        var maps = await ConfigMapsAsync(context.Api, entity, cancellationToken).ConfigureAwait(false);
        var plan = context.Plan(Name, () => KVPrivacyPolicyPlanner.Plan(entity, maps));
        var applying = await context.Children.ApplyAsync(entity, plan, cancellationToken).ConfigureAwait(false);
        var users = context.Informers.MoEDeployments.Cache.List().Where(user =>
            user.Metadata.NamespaceProperty == entity.Metadata.NamespaceProperty
            && user.Metadata.DeletionTimestamp is null
            && user.Spec?.KVCache?.PolicyRef?.Name == entity.Metadata.Name);
        // A policy that could not be written is not ready.
        var problems = plan.Problems.Concat(applying.Select(problem => problem with { Blocks = true })).ToList();
        await context.WriteStatusAsync(
            entity,
            context.Informers.Policies.Cache,
            entity.Status,
            StatusPlanner.KVPrivacyPolicy(entity, problems, users, context.Time.GetUtcNow()),
            (resource, status) => new KVPrivacyPolicy { Metadata = resource.Metadata, Spec = resource.Spec, Status = status },
            status => status?.Conditions,
            cancellationToken).ConfigureAwait(false);
        return applying.Count == 0 && KVPrivacyPolicyPlanner.ConfigMaps(entity).Count > 0
            ? ReconciliationResult<KVPrivacyPolicy>.Success(entity, ReadAgain)
            : ControllerContext.Result(entity, applying);
    }

    /// <inheritdoc />
    public Task<ReconciliationResult<KVPrivacyPolicy>> DeletedAsync(KVPrivacyPolicy entity, CancellationToken cancellationToken) =>
        Task.FromResult(ReconciliationResult<KVPrivacyPolicy>.Success(entity));

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
