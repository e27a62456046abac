using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.External;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Policies;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>Looks up what a MoEDeployment refers to, plans, applies, and reports.</summary>
[EntityRbac(typeof(MoEDeployment), Verbs = RbacVerbs.Read)]
[EntityRbac(typeof(MoEDeployment), Verbs = RbacVerbs.Update, Subresource = "status")]
[EntityRbac(typeof(MoEDeployment), Verbs = RbacVerbs.Update, Subresource = "finalizers")]
[EntityRbac(typeof(KVPrivacyPolicy), typeof(MemorySchedulingProfile), typeof(V1Pod), Verbs = RbacVerbs.Read)]
[EntityRbac(
    typeof(V1Deployment), typeof(V1Service), typeof(V1ConfigMap), typeof(V1ServiceAccount), typeof(V1PodDisruptionBudget), typeof(V1NetworkPolicy),
    typeof(V1PersistentVolumeClaim), typeof(V1Job), typeof(V2HorizontalPodAutoscaler), typeof(PodMonitor), typeof(InferencePool), typeof(InferencePoolAlpha), typeof(ScaledObject),
    Verbs = RbacVerbs.Own)]
internal sealed class MoEDeploymentController(ControllerContext context) : IEntityController<MoEDeployment>
{
    public const string Name = "moedeployment";

    /// <inheritdoc />
    public async Task<ReconciliationResult<MoEDeployment>> ReconcileAsync(MoEDeployment entity, CancellationToken cancellationToken)
    {
        var key = ObjectKey.Of(entity);
        context.Advise(entity);
        var references = await ReferencesAsync(entity, cancellationToken).ConfigureAwait(false);
        var plan = context.UnlessPaused(entity, context.Plan(Name, () => MoEDeploymentPlanner.Plan(entity, references, context.Settings, context.Server) with { MadeOf = references.Resources }));
        var (applying, created) = await context.Children.ApplyAsync(entity, plan, cancellationToken).ConfigureAwait(false);
        // Who waits for children comes before the words about these: the status follows behind the queue.
        if (created > 0 && applying.Count == 0)
            return ReconciliationResult<MoEDeployment>.Success(entity, TimeSpan.Zero);

        var deployment = Deployment(entity);
        var seen = Observation.Of(
            plan,
            applying,
            WorkloadStatus.Of(deployment),
            context.Pods(Components.Inference, key.Name, entity.Metadata.NamespaceProperty));
        await context.WriteStatusAsync(
            entity,
            context.Informers.MoEDeployments.Cache,
            entity.Status,
            StatusPlanner.MoEDeployment(entity, plan, references.Preparation, seen, context.Time.GetUtcNow()),
            (resource, status) => new MoEDeployment { Metadata = resource.Metadata, Spec = resource.Spec, Status = status },
            status => status?.Conditions,
            cancellationToken).ConfigureAwait(false);
        return ControllerContext.Result(entity, applying);
    }

    /// <inheritdoc />
    public Task<ReconciliationResult<MoEDeployment>> DeletedAsync(MoEDeployment entity, CancellationToken cancellationToken)
    {
        context.Forget(entity);
        // The garbage collector removes the children.
        return Task.FromResult(ReconciliationResult<MoEDeployment>.Success(entity));
    }

    private async Task<MoEReferences> ReferencesAsync(MoEDeployment resource, CancellationToken cancellationToken)
    {
        var policy = await context.ReferredAsync(context.Informers.Policies.Cache, resource.Metadata.NamespaceProperty, resource.Spec?.KVCache?.PolicyRef, cancellationToken).ConfigureAwait(false);
        var profile = await context.ReferredAsync(context.Informers.Profiles.Cache, null, resource.Spec?.MemorySchedulingProfileRef, cancellationToken).ConfigureAwait(false);
        Plan? plan = null;
        if (policy is not null)
            plan = KVPrivacyPolicyPlanner.Plan(policy, await KVPrivacyPolicyController.ConfigMapsAsync(context.Api, policy, cancellationToken).ConfigureAwait(false));
        var nodes = profile is null ? null : MemorySchedulingProfilePlanner.Plan(profile, context.Informers.Profiles.Cache.List(), context.Settings, context.Server);
        var references = new MoEReferences(policy, plan, profile) { ProfilePlan = nodes, LiveReplicas = Deployment(resource)?.Spec?.Replicas };
        return references with { Preparation = Preparation(resource, references) };
    }

    private V1Deployment? Deployment(MoEDeployment resource) =>
        context.Informers.Deployments.Cache.FindOwned(new ObjectKey(resource.Metadata.NamespaceProperty, Names.Inference(resource.Metadata.Name)), resource);

    private ModelPreparation Preparation(MoEDeployment resource, MoEReferences references)
    {
        var (name, @namespace) = (resource.Metadata.Name, resource.Metadata.NamespaceProperty);
        IReadOnlyList<V1Pod> pods = [.. context.Pods(Components.ModelFetch, name, @namespace), .. context.Pods(Components.Inference, name, @namespace)];
        var isRemote = resource.Spec?.Model?.Source is { } source && ModelFetch.IsRemote(source);
        if ((!isRemote && pods.Count == 0 && resource.Status?.Memory is null) || SpecCheck.Errors(resource.Spec, "spec").Count > 0)
            return ModelPreparation.None;
        var job = isRemote
            ? context.Informers.BatchJobs.Cache.FindOwned(new ObjectKey(@namespace, ModelFetch.JobName(resource, references, context.Settings, context.Server)), resource)
            : null;
        return ModelPreparation.Of(resource, job, pods);
    }
}
