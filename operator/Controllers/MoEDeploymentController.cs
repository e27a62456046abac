using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>Looks up what a MoEDeployment refers to, plans, applies, and reports.</summary>
[EntityRbac(typeof(MoEDeployment), Verbs = RbacVerbs.Read)]
[EntityRbac(typeof(MoEDeployment), Verbs = RbacVerbs.Update, Subresource = "status")]
[EntityRbac(typeof(MoEDeployment), Verbs = RbacVerbs.Update, Subresource = "finalizers")]
[EntityRbac(typeof(KVPrivacyPolicy), typeof(MemorySchedulingProfile), typeof(V1Pod), Verbs = RbacVerbs.Read)]
[EntityRbac(
    typeof(V1Deployment), typeof(V1Service), typeof(V1ConfigMap), typeof(V1ServiceAccount), typeof(V1PodDisruptionBudget), typeof(V1NetworkPolicy),
    Verbs = RbacVerbs.Own)]
internal sealed class MoEDeploymentController(ControllerContext context) : IEntityController<MoEDeployment>
{
    public const string Name = "moedeployment";

    /// <inheritdoc />
    public async Task<ReconciliationResult<MoEDeployment>> ReconcileAsync(MoEDeployment entity, CancellationToken cancellationToken)
    {
        var key = ObjectKey.Of(entity);
        var references = await ReferencesAsync(entity, cancellationToken).ConfigureAwait(false);
        var plan = context.Plan(Name, () => MoEDeploymentPlanner.Plan(entity, references, context.Settings, context.Server));
        var applying = await context.Children.ApplyAsync(entity, plan, cancellationToken).ConfigureAwait(false);

        var deployment = context.Informers.Deployments.Cache.Find(key with { Name = Names.Inference(key.Name) });
        var seen = Observation.Of(
            plan,
            applying,
            WorkloadStatus.Of(IsOwn(deployment, entity) ? deployment : null),
            context.Pods(Components.Inference, key.Name, entity.Metadata.NamespaceProperty));
        await context.WriteStatusAsync(
            entity,
            context.Informers.MoEDeployments.Cache,
            entity.Status,
            StatusPlanner.MoEDeployment(entity, plan, seen, context.Time.GetUtcNow()),
            (resource, status) => new MoEDeployment { Metadata = resource.Metadata, Spec = resource.Spec, Status = status },
            status => status?.Conditions,
            cancellationToken).ConfigureAwait(false);
        return ControllerContext.Result(entity, applying);
    }

    /// <inheritdoc />
    public Task<ReconciliationResult<MoEDeployment>> DeletedAsync(MoEDeployment entity, CancellationToken cancellationToken) =>
        // The garbage collector removes the children.
        Task.FromResult(ReconciliationResult<MoEDeployment>.Success(entity));

    internal static bool IsOwn(V1Deployment? deployment, k8s.IKubernetesObject<V1ObjectMeta> owner) =>
        deployment is not null && SharedCache<V1Deployment>.Controller(deployment)?.Uid == owner.Metadata.Uid;

    private async Task<MoEReferences> ReferencesAsync(MoEDeployment resource, CancellationToken cancellationToken)
    {
        var policy = await context.ReferredAsync(context.Informers.Policies.Cache, resource.Metadata.NamespaceProperty, resource.Spec?.KVCache?.PolicyRef, cancellationToken).ConfigureAwait(false);
        var profile = await context.ReferredAsync(context.Informers.Profiles.Cache, null, resource.Spec?.MemorySchedulingProfileRef, cancellationToken).ConfigureAwait(false);
        Plan? plan = null;
        if (policy is not null)
            plan = KVPrivacyPolicyPlanner.Plan(policy, await KVPrivacyPolicyController.ConfigMapsAsync(context.Api, policy, cancellationToken).ConfigureAwait(false));
        return new MoEReferences(policy, plan, profile);
    }
}
