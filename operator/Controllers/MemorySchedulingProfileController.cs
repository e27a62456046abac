using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>Runs the node agents of profiles in the operator's namespace.</summary>
[EntityRbac(typeof(MemorySchedulingProfile), Verbs = RbacVerbs.Read)]
[EntityRbac(typeof(MemorySchedulingProfile), Verbs = RbacVerbs.Update, Subresource = "status")]
[EntityRbac(typeof(MemorySchedulingProfile), Verbs = RbacVerbs.Update, Subresource = "finalizers")]
[EntityRbac(typeof(V1DaemonSet), typeof(V1ConfigMap), typeof(V1ServiceAccount), Verbs = RbacVerbs.Own)]
[EntityRbac(typeof(V1Pod), Verbs = RbacVerbs.Read)]
internal sealed class MemorySchedulingProfileController(ControllerContext context) : IEntityController<MemorySchedulingProfile>
{
    public const string Name = "memoryschedulingprofile";

    /// <inheritdoc />
    public async Task<ReconciliationResult<MemorySchedulingProfile>> ReconcileAsync(MemorySchedulingProfile entity, CancellationToken cancellationToken)
    {
        var all = context.Informers.Profiles.Cache.List();
        var plan = context.Plan(Name, () => MemorySchedulingProfilePlanner.Plan(entity, all, context.Settings));
        var applying = await context.Children.ApplyAsync(entity, plan, cancellationToken).ConfigureAwait(false);
        var name = entity.Metadata.Name;
        var daemonSet = context.Informers.DaemonSets.Cache.Find(new ObjectKey(context.Settings.Namespace, Names.NodeAgent(name)));
        if (daemonSet is not null && SharedCache<V1DaemonSet>.Controller(daemonSet)?.Uid != entity.Metadata.Uid)
            daemonSet = null;
        var seen = Observation.Of(plan, applying, WorkloadStatus.Of(daemonSet), context.Pods(Components.NodeAgent, name, context.Settings.Namespace));
        await context.WriteStatusAsync(
            entity,
            context.Informers.Profiles.Cache,
            entity.Status,
            StatusPlanner.MemorySchedulingProfile(entity, seen, context.Time.GetUtcNow()),
            (resource, status) => new MemorySchedulingProfile { Metadata = resource.Metadata, Spec = resource.Spec, Status = status },
            status => status?.Conditions,
            cancellationToken).ConfigureAwait(false);
        return ControllerContext.Result(entity, applying);
    }

    /// <inheritdoc />
    public Task<ReconciliationResult<MemorySchedulingProfile>> DeletedAsync(MemorySchedulingProfile entity, CancellationToken cancellationToken) =>
        // The agents undo what they did to their nodes when they are stopped.
        Task.FromResult(ReconciliationResult<MemorySchedulingProfile>.Success(entity));
}
