using System.Net;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.External;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Makes the world follow a plan: creates children that are missing, applies those that have lost a planned field, removes
/// those that are not planned any more, and touches nothing else. What has not drifted costs no request.
/// </summary>
internal sealed class ChildApplier(ApiClient api, IReadOnlyList<IChildKind> kinds, OperatorMetrics metrics, TimeProvider time, ILogger<ChildApplier> logger)
{
    /// <summary>How long the removal of an earlier child may take before it is told.</summary>
    private static readonly TimeSpan RemovalPatience = TimeSpan.FromSeconds(15);

    private readonly Rivalry _rivalry = new(time);

    /// <summary>Applies a plan.</summary>
    /// <returns>What stands in the way and needs a person, and how many children are new.</returns>
    /// <exception cref="ApiException">Something that trying again can help with.</exception>
    public async Task<(IReadOnlyList<Problem> Problems, int Created)> ApplyAsync(IKubernetesObject<V1ObjectMeta> owner, Plan plan, CancellationToken cancellationToken)
    {
        var problems = new List<Problem>();
        var created = 0;
        if (plan is { IsBlocked: true, Withdraws: false } || plan.IsPaused)
            return (problems, created);
        // All are looked at before the fence looks at their owner.
        var known = plan.Children.Select(child => new Known(child, KindOf(child), KindOf(child).Cached(ObjectKey.Of(child)))).ToList();
        List<(IChildKind Kind, IKubernetesObject<V1ObjectMeta> Child)> strays = plan.IsPartial ? [] : [.. Strays(owner, plan)];
        var fence = new OwnerFence(api, owner, plan.MadeOf);
        // Nothing is older than what has no child yet.
        var isNewOwner = known.All(one => one.Live is null) && strays.Count == 0;
        foreach (var one in known)
        {
            var (problem, isNew) = await ApplyAsync(owner, one, fence, isNewOwner, cancellationToken).ConfigureAwait(false);
            created += isNew ? 1 : 0;
            if (problem is null)
                continue;
            problems.Add(problem);
            // What comes later needs what comes first: no pod may start with somebody else's configuration. A claim that
            // stays as it was is still the resource's own.
            if (problem.Reason is not (Reasons.ApplyConflict or Reasons.StoreImmutable))
                return (problems, created);
        }

        // One line for all: a thousand resources at once would each log as many as they have children.
        if (created > 0)
            logger.LogInformation("Created {Created} of {Children} children of {Kind} {Owner}", created, plan.Children.Count, owner.Kind, ObjectKey.Of(owner));
        foreach (var (kind, stray) in strays)
        {
            await fence.PassAsync(cancellationToken).ConfigureAwait(false);
            logger.LogInformation("Deleting {Kind} {Key}: {Owner} does not need it any more", kind.Type.Kind, ObjectKey.Of(stray), ObjectKey.Of(owner));
            if (await SendAsync(kind, ObjectKey.Of(stray), "prune", () => kind.DeleteAsync(stray, cancellationToken)).ConfigureAwait(false) is { } problem)
                problems.Add(problem);
        }

        return (problems, created);
    }

    /// <summary>The first child that is not as a plan asks, in words; null when all are.</summary>
    public string? Behind(IKubernetesObject<V1ObjectMeta> owner, Plan plan)
    {
        foreach (var child in plan.Children)
        {
            var kind = KindOf(child);
            if (kind.Cached(ObjectKey.Of(child)) is not { } live)
                return $"{child.Kind} '{child.Metadata.Name}' is not made";
            var planned = new ChildBody(child);
            if (kind.IsAsPlanned(live, planned.Hash))
                continue;
            var body = planned.ToNode();
            ((JsonObject)body["metadata"]!["annotations"]!).Remove(Labels.PlanHash);
            var isTaken = live.Metadata.Annotations?.TryGetValue(Labels.PlanHash, out var taken) is true && taken == planned.Hash;
            // Whether the server leaves out what says nothing is known only once it was applied, and a paused resource is not.
            if (Drift.Find(body, WireJson.ToNode(live), (path, value, there) => IsServers(kind, child, planned, path, there) || (isTaken && there is null && Drift.SaysNothing(value))) is { } field)
                return $"{child.Kind} '{child.Metadata.Name}' is not as planned ({field})";
            // The plan of a Deployment follows what its autoscaler has chosen: another number of pods is no change to it.
            var isScaled = child is V1Deployment && plan.Children.Any(other => other is V2HorizontalPodAutoscaler or ScaledObject);
            if (!isScaled && live.Metadata.Annotations?.TryGetValue(Labels.PlanHash, out var hash) is true && hash != planned.Hash)
                return $"{child.Kind} '{child.Metadata.Name}' has what is not planned any more";
        }

        return plan.IsBlocked || plan.IsPartial ? null : Strays(owner, plan).Select(stray => $"{stray.Kind.Type.Kind} '{stray.Child.Metadata.Name}' is not removed").FirstOrDefault();
    }

    /// <summary>Children that are not planned any more.</summary>
    private IEnumerable<(IChildKind Kind, IKubernetesObject<V1ObjectMeta> Child)> Strays(IKubernetesObject<V1ObjectMeta> owner, Plan plan)
    {
        var planned = plan.Children.Select(child => (child.ApiVersion, child.Kind, ObjectKey.Of(child))).ToHashSet();
        return from kind in kinds
               where kind.Prunable
               from stray in kind.OwnedBy(owner.Metadata.Uid)
               where !planned.Contains((kind.Type.ApiVersion, kind.Type.Kind, ObjectKey.Of(stray))) && stray.Metadata.DeletionTimestamp is null
               select (kind, stray);
    }

    private IChildKind KindOf(IKubernetesObject<V1ObjectMeta> child) =>
        kinds.FirstOrDefault(kind => kind.Entity == child.GetType()) ?? throw new InvalidOperationException($"{child.Kind} is not a kind of child");

    private async Task<(Problem? Problem, bool IsNew)> ApplyAsync(IKubernetesObject<V1ObjectMeta> owner, Known known, OwnerFence fence, bool isNewOwner, CancellationToken cancellationToken)
    {
        var (child, kind, cached) = known;
        var key = ObjectKey.Of(child);
        var planned = new ChildBody(child);
        if (cached is not null)
            return (await ChangeAsync(owner, child, kind, key, cached, planned, fence, cancellationToken).ConfigureAwait(false), false);

        if (_rivalry.Wait(kind.Entity, key, planned.Hash) is { } pause)
            return (new Problem(Reasons.ApplyConflict, $"{kind.Type.Kind} '{key.Name}' is removed by somebody each time that it is made, and so is made less and less often: find out who does so, such as another operator", Blocks: false) { Again = pause }, false);
        if (!isNewOwner)
            await fence.PassAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            logger.LogDebug("Creating {Kind} {Key}", kind.Type.Kind, key);
            var problem = await SendAsync(kind, key, "create", () => kind.CreateAsync(key, planned.ToNode(), cancellationToken)).ConfigureAwait(false);
            if (problem is null)
                _rivalry.Applied(kind.Entity, key, planned.Hash);
            return (problem, problem is null);
        }
        catch (ApiException error) when (error.Reason == "AlreadyExists")
        {
            // An object that the cache does not have may still exist: without the labels it is not watched.
        }

        var live = await kind.FindAsync(key, cancellationToken).ConfigureAwait(false);
        fence.Renew();
        return live is not null
            ? (await ChangeAsync(owner, child, kind, key, live, planned, fence, cancellationToken).ConfigureAwait(false), false)
            : throw new ApiException(HttpStatusCode.Conflict, "Conflict", $"{kind.Type.Kind} {key} was there and is gone", []);
    }

    private async Task<Problem?> ChangeAsync(IKubernetesObject<V1ObjectMeta> owner, IKubernetesObject<V1ObjectMeta> child, IChildKind kind, ObjectKey key, IKubernetesObject<V1ObjectMeta> live, ChildBody planned, OwnerFence fence, CancellationToken cancellationToken)
    {
        if (Refuse(owner, live, kind, key) is { } refusal)
            return refusal;
        // Most looks are at what was looked at before, and neither the plan nor the object has changed since.
        if (kind.IsAsPlanned(live, planned.Hash))
            return null;
        var body = planned.ToNode();
        var drift = Drift.Find(body, WireJson.ToNode(live), (path, _, there) => IsServers(kind, child, planned, path, there));
        if (drift is null)
        {
            kind.SetAsPlanned(live, planned.Hash);
            return null;
        }

        if (child is V1PersistentVolumeClaim wanted && live is V1PersistentVolumeClaim claim && ClaimChange.Refuse(owner.Kind, wanted, claim) is { } kept)
            return kept;
        if (_rivalry.Wait(kind.Entity, key, planned.Hash) is { } pause)
            return new Problem(Reasons.ApplyConflict, $"{kind.Type.Kind} '{key.Name}': {drift} is changed by somebody each time that it is applied, and so is applied less and less often: find out who does so, such as another operator or an autoscaler", Blocks: false) { Again = pause };
        await fence.PassAsync(cancellationToken).ConfigureAwait(false);
        logger.LogInformation("Applying {Kind} {Key}: {Field} is not as planned", kind.Type.Kind, key, drift);
        var cause = drift.StartsWith("metadata.annotations", StringComparison.Ordinal) ? "change" : "drift";
        try
        {
            return await SendAsync(kind, key, cause, async () =>
            {
                // Fails when somebody, perhaps another leader, has written in between.
                body["metadata"]!["resourceVersion"] = await kind.OwnAsApplierAsync(live, cancellationToken).ConfigureAwait(false);
                Tell(await kind.ApplyAsync(key, body, planned.Hash, force: false, cancellationToken).ConfigureAwait(false));
            }).ConfigureAwait(false);
        }
        catch (ApiException error) when (IsFieldConflict(error))
        {
            // One who applies declares fields as their own and will do so again: that is for people to settle.
            // A field changed in passing, as with `kubectl edit`, is drift and taken back.
            if (error.Causes.FirstOrDefault(IsApplier) is { } rival)
                return new Problem(Reasons.ApplyConflict, $"{kind.Type.Kind} '{key.Name}': field {rival.Field}: {rival.Message}: remove the field there, or delete the object there", Blocks: false);
            return await SendAsync(kind, key, cause, async () => Tell(await kind.ApplyAsync(key, body, planned.Hash, force: true, cancellationToken).ConfigureAwait(false))).ConfigureAwait(false);
        }

        void Tell(ServerShape? shape)
        {
            _rivalry.Applied(kind.Entity, key, planned.Hash);
            if (shape is not null)
                logger.LogInformation("{Kind} {Key}: the API server makes something else of {Fields}, and it is left so", kind.Type.Kind, key, string.Join(", ", shape.Paths));
        }
    }

    private static bool IsServers(IChildKind kind, IKubernetesObject<V1ObjectMeta> child, ChildBody planned, string path, JsonNode? live) =>
        kind.ShapeOf(ObjectKey.Of(child))?.Has(planned.Hash, path, live) == true;

    private async Task<Problem?> SendAsync(IChildKind kind, ObjectKey key, string cause, Func<Task> write)
    {
        try
        {
            await write().ConfigureAwait(false);
            metrics.ChildWrites.WithLabels(kind.Type.Kind, cause).Inc();
        }
        catch (ApiException error) when (error.IsRejection)
        {
            logger.LogWarning("{Kind} {Key} was refused: {Error}", kind.Type.Kind, key, error.Detail);
            return new Problem(Reasons.ChildRejected, $"{kind.Type.Kind} '{key}' was refused by the API server: {error.Detail}", Blocks: false);
        }

        return null;
    }

    private Problem? Refuse(IKubernetesObject<V1ObjectMeta> owner, IKubernetesObject<V1ObjectMeta> live, IChildKind kind, ObjectKey key)
    {
        var controller = live.Metadata.OwnerReferences?.FirstOrDefault(reference => reference.Controller == true);
        if (controller?.Uid == owner.Metadata.Uid && live.Metadata.DeletionTimestamp is null)
            return null;
        var leftOver = controller is not null && controller.Kind == owner.Kind && controller.Name == owner.Metadata.Name;
        if (leftOver || live.Metadata.DeletionTimestamp is not null)
        {
            if (time.GetUtcNow().UtcDateTime - (live.Metadata.DeletionTimestamp ?? owner.Metadata.CreationTimestamp) is not { } waited || waited < RemovalPatience)
                throw new ApiException(HttpStatusCode.Conflict, "BeingDeleted", $"{kind.Type.Kind} {key} is still being removed", []);
            var held = live.Metadata.Finalizers is { Count: > 0 } finalizers ? $", held by {string.Join(", ", finalizers)}" : "";
            return new Problem(Reasons.ChildBeingRemoved, $"{kind.Type.Kind} '{key.Name}' of before is still being removed{held}: find out what uses it or keeps the cluster from removing it", Blocks: false);
        }

        var whose = controller is null ? "nobody that Moebius knows" : $"{controller.Kind} '{controller.Name}'";
        return new Problem(Reasons.ChildNotOwned, $"{kind.Type.Kind} '{key.Name}' exists and belongs to {whose}: delete or rename it, or rename this resource", Blocks: false);
    }

    /// <summary>A planned child, and what is known of it.</summary>
    private sealed record Known(IKubernetesObject<V1ObjectMeta> Child, IChildKind Kind, IKubernetesObject<V1ObjectMeta>? Live);

    private static bool IsFieldConflict(ApiException error) =>
        error.StatusCode == HttpStatusCode.Conflict && error.Causes.Any(cause => cause.Reason == "FieldManagerConflict");

    // `conflict with "helm"` is an applier, `conflict with "kubectl-edit" using apps/v1` an updater.
    private static bool IsApplier(ApiErrorCause cause) =>
        cause.Reason == "FieldManagerConflict" && !cause.Message.Contains(" using ", StringComparison.Ordinal);
}
