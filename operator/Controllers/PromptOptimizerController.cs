using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.PromptOptimizers;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>Runs the service of PromptOptimizers.</summary>
[EntityRbac(typeof(PromptOptimizer), typeof(MoEDeployment), typeof(V1Pod), Verbs = RbacVerbs.Read)]
[EntityRbac(typeof(PromptOptimizer), Verbs = RbacVerbs.Update, Subresource = "status")]
[EntityRbac(typeof(PromptOptimizer), Verbs = RbacVerbs.Update, Subresource = "finalizers")]
[EntityRbac(
    typeof(V1Deployment), typeof(V1Service), typeof(V1ConfigMap), typeof(V1ServiceAccount), typeof(V1NetworkPolicy), typeof(V1PersistentVolumeClaim),
    Verbs = RbacVerbs.Own)]
internal sealed class PromptOptimizerController(ControllerContext context) : IEntityController<PromptOptimizer>
{
    public const string Name = "promptoptimizer";

    /// <inheritdoc />
    public async Task<ReconciliationResult<PromptOptimizer>> ReconcileAsync(PromptOptimizer entity, CancellationToken cancellationToken)
    {
        var key = ObjectKey.Of(entity);
        var model = await context.ReferredAsync(context.Informers.MoEDeployments.Cache, key.Namespace, entity.Spec?.LanguageModel?.MoeDeploymentRef, cancellationToken).ConfigureAwait(false);
        context.Advise(entity);
        var plan = context.UnlessPaused(entity, context.Plan(Name, () => PromptOptimizerPlanner.Plan(entity, model, context.Settings, context.Server) with { MadeOf = model is null ? [] : [model] }));
        var (applying, _) = await context.Children.ApplyAsync(entity, plan, cancellationToken).ConfigureAwait(false);
        var deployment = context.Informers.Deployments.Cache.FindOwned(key with { Name = Names.PromptOptimizer(key.Name) }, entity);
        var seen = Observation.Of(
            plan,
            applying,
            WorkloadStatus.Of(deployment),
            context.Pods(Components.PromptOptimizer, key.Name, entity.Metadata.NamespaceProperty));
        await context.WriteStatusAsync(
            entity,
            context.Informers.Optimizers.Cache,
            entity.Status,
            StatusPlanner.PromptOptimizer(entity, plan, seen, context.Time.GetUtcNow()),
            (resource, status) => new PromptOptimizer { Metadata = resource.Metadata, Spec = resource.Spec, Status = status },
            status => status?.Conditions,
            cancellationToken).ConfigureAwait(false);
        return ControllerContext.Result(entity, applying);
    }

    /// <inheritdoc />
    public Task<ReconciliationResult<PromptOptimizer>> DeletedAsync(PromptOptimizer entity, CancellationToken cancellationToken)
    {
        context.Forget(entity);
        return Task.FromResult(ReconciliationResult<PromptOptimizer>.Success(entity));
    }
}
