using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>Runs the node agents of profiles in the operator's namespace.</summary>
[EntityRbac(typeof(MemorySchedulingProfile), Verbs = RbacVerbs.Read | RbacVerbs.Patch)]
[EntityRbac(typeof(MemorySchedulingProfile), Verbs = RbacVerbs.Update, Subresource = "status")]
[EntityRbac(typeof(MemorySchedulingProfile), Verbs = RbacVerbs.Update, Subresource = "finalizers")]
[EntityRbac(typeof(V1ConfigMap), typeof(V1ServiceAccount), Verbs = RbacVerbs.Own)]
// Anywhere else they are only removed: those of an operator whose namespace was another one.
[EntityRbac(typeof(V1DaemonSet), Verbs = RbacVerbs.Read | RbacVerbs.Delete)]
[EntityRbac(typeof(V1DaemonSet), Verbs = RbacVerbs.Create | RbacVerbs.Patch, OperatorNamespaceOnly = true)]
[EntityRbac(typeof(V1Pod), Verbs = RbacVerbs.Read)]
internal sealed class MemorySchedulingProfileController(ControllerContext context) : IEntityController<MemorySchedulingProfile>, IEntityFinalizer<MemorySchedulingProfile>
{
    public const string Name = "memoryschedulingprofile";

    /// <summary>The finalizer that waits until the agents have restored their nodes.</summary>
    public const string FinalizerName = ApiGroup.Name + "/restore-nodes";

    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(30);

    /// <summary>An agent takes a second or two to end, and half a minute at most: who is left after this is in trouble.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromMinutes(1);

    /// <summary>How long agents that do not end keep a deleted profile.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(10);

    private const int MostNamed = 3;

    private readonly Patience _patience = new(context.Time, Longest);

    /// <inheritdoc />
    public async Task<ReconciliationResult<MemorySchedulingProfile>> ReconcileAsync(MemorySchedulingProfile entity, CancellationToken cancellationToken)
    {
        var all = context.Informers.Profiles.Cache.List();
        var plan = context.UnlessPaused(entity, context.Plan(Name, () => MemorySchedulingProfilePlanner.Plan(entity, all, context.Settings, context.Server)));
        var (applying, _) = await context.Children.ApplyAsync(entity, plan, cancellationToken).ConfigureAwait(false);
        var name = entity.Metadata.Name;
        var daemonSet = context.Informers.DaemonSets.Cache.FindOwned(new ObjectKey(context.Settings.Namespace, Names.NodeAgent(name)), entity);
        var pods = context.Pods(Components.NodeAgent, name, context.Settings.Namespace);
        var seen = Observation.Of(plan, applying, WorkloadStatus.Of(daemonSet), pods);
        var nodes = await context.Reports.NodesAsync(pods, entity.Spec?.Agent?.Port ?? 0, cancellationToken).ConfigureAwait(false);
        await context.WriteStatusAsync(
            entity,
            context.Informers.Profiles.Cache,
            entity.Status,
            StatusPlanner.MemorySchedulingProfile(entity, plan, seen, nodes, context.Time.GetUtcNow()),
            (resource, status) => new MemorySchedulingProfile { Metadata = resource.Metadata, Spec = resource.Spec, Status = status },
            status => status?.Conditions,
            cancellationToken).ConfigureAwait(false);
        // What an agent says changes without a word from the API server.
        return applying.Count == 0 && pods.Count > 0
            ? ReconciliationResult<MemorySchedulingProfile>.Success(entity, AskAgain)
            : ControllerContext.Result(entity, applying);
    }

    /// <inheritdoc />
    public Task<ReconciliationResult<MemorySchedulingProfile>> DeletedAsync(MemorySchedulingProfile entity, CancellationToken cancellationToken)
    {
        _patience.Forget(entity.Metadata.Uid);
        return Task.FromResult(ReconciliationResult<MemorySchedulingProfile>.Success(entity));
    }

    /// <summary>
    /// The agents undo what they did to their nodes when they are stopped: the profile stays until the last of them has
    /// ended. A node that does not come back must not keep it for ever: a kubelet that returns stops its agent all the
    /// same, and one that never does has nothing left to restore.
    /// </summary>
    public async Task<ReconciliationResult<MemorySchedulingProfile>> FinalizeAsync(MemorySchedulingProfile entity, CancellationToken cancellationToken)
    {
        var (name, uid) = (entity.Metadata.Name, entity.Metadata.Uid);
        // Asked of the server: one whose labels somebody has removed is in no cache, and would make agents for ever.
        var agents = await context.Api.FindAsync<V1DaemonSet>(new ObjectKey(context.Settings.Namespace, Names.NodeAgent(name)), cancellationToken).ConfigureAwait(false);
        if (agents is not null && SharedCache<V1DaemonSet>.Controller(agents)?.Uid == uid && agents.Metadata.DeletionTimestamp is null)
        {
            await context.Api.DeleteAsync(agents, cancellationToken).ConfigureAwait(false);
            return ReconciliationResult<MemorySchedulingProfile>.Failure(entity, "the node agents are being stopped", requeueAfter: LookAgain);
        }

        var left = context.Pods(Components.NodeAgent, name, context.Settings.Namespace);
        if (left.Count == 0)
            return ReconciliationResult<MemorySchedulingProfile>.Success(entity);
        var nodes = string.Join(", ", left.Select(pod => pod.Spec?.NodeName ?? "no node").Order(StringComparer.Ordinal).Take(MostNamed)) + (left.Count > MostNamed ? ", ..." : "");
        if (_patience.IsOver(uid))
        {
            context.Warn(entity, Reasons.NodesNotRestored, $"{left.Count} node agents have not ended within {Longest.TotalMinutes:0} minutes, and are no longer waited for: on {nodes}. Their nodes may have changed interleave weights until the agent is stopped or the node starts again");
            return ReconciliationResult<MemorySchedulingProfile>.Success(entity);
        }

        var again = LookAgain;
        if (_patience.Waited(uid) >= Quiet)
        {
            again = AskAgain;
            context.Warn(entity, Reasons.NodesNotRestored, $"{left.Count} node agents have not ended yet: on {nodes}. Look at these nodes, or delete the pods by force if a node does not come back");
        }

        return ReconciliationResult<MemorySchedulingProfile>.Failure(entity, $"{left.Count} node agents have not ended yet: on {nodes}", requeueAfter: again);
    }
}
