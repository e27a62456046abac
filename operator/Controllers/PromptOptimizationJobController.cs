using System.Globalization;
using System.Net;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.PromptOptimizers;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Controllers;

/// <summary>
/// Gives prompts to the service of a PromptOptimizer and follows them. The key of each request is made from the
/// resource's UID, so asking twice makes one job.
/// </summary>
[EntityRbac(typeof(PromptOptimizationJob), Verbs = RbacVerbs.Read | RbacVerbs.Patch | RbacVerbs.Delete)]
[EntityRbac(typeof(PromptOptimizationJob), Verbs = RbacVerbs.Update, Subresource = "status")]
[EntityRbac(typeof(PromptOptimizationJob), Verbs = RbacVerbs.Update, Subresource = "finalizers")]
[EntityRbac(typeof(PromptOptimizer), Verbs = RbacVerbs.Read)]
[EntityRbac(typeof(V1ConfigMap), Verbs = RbacVerbs.Own)]
internal sealed class PromptOptimizationJobController(ControllerContext context, PromptService service)
    : IEntityController<PromptOptimizationJob>, IEntityFinalizer<PromptOptimizationJob>
{
    public const string Name = "promptoptimizationjob";

    /// <summary>The finalizer that ends what runs in the service and removes the prompts from its store.</summary>
    public const string FinalizerName = ApiGroup.Name + "/cancel-jobs";

    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(2);

    /// <summary>How long a job that is deleted waits for the service to remove its prompts.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(2);

    private readonly Patience _patience = new(context.Time, Longest);

    /// <inheritdoc />
    public async Task<ReconciliationResult<PromptOptimizationJob>> ReconcileAsync(PromptOptimizationJob entity, CancellationToken cancellationToken)
    {
        var isPaused = Labels.IsPaused(entity);
        if (isPaused || JobStatusPlanner.HasEnded(entity))
        {
            await WriteAsync(entity, JobStatusPlanner.Paused(entity, context.Time.GetUtcNow()), cancellationToken).ConfigureAwait(false);
            return isPaused ? ReconciliationResult<PromptOptimizationJob>.Success(entity) : await ExpireAsync(entity, cancellationToken).ConfigureAwait(false);
        }

        var (problem, address) = await CheckAsync(entity, cancellationToken).ConfigureAwait(false);
        var jobs = new List<ServiceJob>();
        var asked = 0;
        if (problem is null && address is not null)
        {
            try
            {
                foreach (var (prompt, index) in JobStatusPlanner.Prompts(entity.Spec).Select((prompt, index) => (prompt, index)))
                {
                    asked = index;
                    var known = entity.Status?.JobIds?.ElementAtOrDefault(index);
                    jobs.Add(known is null
                        ? await service.CreateAsync(address, Key(entity, index), prompt, entity.Spec, cancellationToken).ConfigureAwait(false)
                        : await service.GetAsync(address, known, cancellationToken).ConfigureAwait(false));
                }
            }
            catch (PromptServiceException error) when (error.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.Conflict or HttpStatusCode.NotFound or HttpStatusCode.UnprocessableEntity)
            {
                problem = new Problem(Reasons.JobRefused, $"{(entity.Spec.Prompts is null ? "spec.prompt" : $"spec.prompts[{asked.ToString(CultureInfo.InvariantCulture)}]")}: {error.Message}", Blocks: true);
            }
            catch (Exception error) when (error is PromptServiceException or HttpRequestException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
            {
                problem = new Problem(Reasons.ServiceUnreachable, $"{address}: {error.Message}", Blocks: false);
            }
        }

        var (status, map) = JobStatusPlanner.Plan(entity, jobs, problem, context.Time.GetUtcNow());
        IReadOnlyList<Problem> applying = [];
        if (map is not null)
            (applying, _) = await context.Children.ApplyAsync(entity, new Plan([map], [], []), cancellationToken).ConfigureAwait(false);
        // What the status refers to must be there: until then the job has not ended.
        if (applying is [var obstacle, ..])
            (status, _) = JobStatusPlanner.Plan(entity, jobs, obstacle, context.Time.GetUtcNow());
        await WriteAsync(entity, status, cancellationToken).ConfigureAwait(false);
        if (applying.Count > 0)
            return ControllerContext.Result(entity, applying);
        return problem switch
        {
            // It has ended: how long it is kept is seen to next.
            { Reason: Reasons.JobRefused } => ReconciliationResult<PromptOptimizationJob>.Success(entity, Poll),
            // A change of what the job refers to brings it back.
            { Blocks: true } => ReconciliationResult<PromptOptimizationJob>.Success(entity),
            { Reason: Reasons.ServiceUnreachable } => ReconciliationResult<PromptOptimizationJob>.Failure(entity, problem.Message),
            _ => ReconciliationResult<PromptOptimizationJob>.Success(entity, Poll),
        };
    }

    /// <inheritdoc />
    public Task<ReconciliationResult<PromptOptimizationJob>> DeletedAsync(PromptOptimizationJob entity, CancellationToken cancellationToken)
    {
        _patience.Forget(entity.Metadata.Uid);
        return Task.FromResult(ReconciliationResult<PromptOptimizationJob>.Success(entity));
    }

    /// <inheritdoc />
    public async Task<ReconciliationResult<PromptOptimizationJob>> FinalizeAsync(PromptOptimizationJob entity, CancellationToken cancellationToken)
    {
        // Without its optimizer there is nobody to ask: the store went with it, or belongs to whoever keeps the volume, which nobody here sees.
        if (await context.ReferredAsync(context.Informers.Optimizers.Cache, entity.Metadata.NamespaceProperty, entity.Spec.OptimizerRef, cancellationToken).ConfigureAwait(false) is not { } optimizer)
        {
            if (entity.Status?.JobIds is { Count: > 0 })
                context.Warn(entity, Reasons.PromptsNotRemoved, $"PromptOptimizer '{entity.Spec.OptimizerRef.Name}' is gone: the prompts are in its volume, if that is kept (PersistentVolumeClaim '{Names.PromptOptimizerData(entity.Spec.OptimizerRef.Name)}'), or in its PostgreSQL database");
            return ReconciliationResult<PromptOptimizationJob>.Success(entity);
        }

        var address = new Uri(PromptOptimizerPlanner.Endpoint(optimizer));
        string? left = null;
        for (var index = 0; index < JobStatusPlanner.Prompts(entity.Spec).Count; index++)
        {
            try
            {
                // A job may have been handed in without its id being noted.
                var id = entity.Status?.JobIds?.ElementAtOrDefault(index) ?? await service.FindAsync(address, Key(entity, index), cancellationToken).ConfigureAwait(false);
                if (id is not null && !await service.PurgeAsync(address, id, cancellationToken).ConfigureAwait(false))
                    left ??= $"job {id} is ending";
            }
            catch (Exception error) when (error is PromptServiceException or HttpRequestException or TaskCanceledException && !cancellationToken.IsCancellationRequested)
            {
                left = $"{address}: {error.Message}";
                break;
            }
        }

        if (left is null)
            return ReconciliationResult<PromptOptimizationJob>.Success(entity);
        if (!_patience.IsOver(entity.Metadata.Uid))
            return ReconciliationResult<PromptOptimizationJob>.Failure(entity, $"prompts are being removed from the service: {left}", requeueAfter: Poll);
        // Deleting must not hang on a service that is gone; a job there ends by its own deadline.
        context.Warn(entity, Reasons.PromptsNotRemoved, $"the prompts may still be in the store of PromptOptimizer '{optimizer.Metadata.Name}': {left}");
        return ReconciliationResult<PromptOptimizationJob>.Success(entity);
    }

    /// <summary>The key under which a prompt is handed in: the same for every try.</summary>
    private static string Key(PromptOptimizationJob entity, int index) => $"{entity.Metadata.Uid}.{index.ToString(CultureInfo.InvariantCulture)}";

    private async Task<(Problem? Problem, Uri? Address)> CheckAsync(PromptOptimizationJob entity, CancellationToken cancellationToken)
    {
        if (SpecCheck.Errors(entity.Spec, "spec") is [var error, ..])
            return (new Problem(Reasons.InvalidSpec, error.ToString(), Blocks: true), null);
        var reference = entity.Spec.OptimizerRef;
        if (await context.ReferredAsync(context.Informers.Optimizers.Cache, entity.Metadata.NamespaceProperty, reference, cancellationToken).ConfigureAwait(false) is { } optimizer)
            return (null, new Uri(PromptOptimizerPlanner.Endpoint(optimizer)));
        return (new Problem(Reasons.OptimizerNotFound, $"spec.optimizerRef.name: there is no PromptOptimizer '{reference.Name}' in namespace '{entity.Metadata.NamespaceProperty}': make it, or name one that exists", Blocks: true), null);
    }

    private Task WriteAsync(PromptOptimizationJob entity, PromptOptimizationJobStatus status, CancellationToken cancellationToken) => context.WriteStatusAsync(
        entity,
        context.Informers.Jobs.Cache,
        entity.Status,
        status,
        (resource, planned) => new PromptOptimizationJob { Metadata = resource.Metadata, Spec = resource.Spec, Status = planned },
        JobStatusPlanner.ForEvents,
        cancellationToken);

    private async Task<ReconciliationResult<PromptOptimizationJob>> ExpireAsync(PromptOptimizationJob entity, CancellationToken cancellationToken)
    {
        if (entity.Spec.TtlAfterFinished is not { } ttl || entity.Status?.CompletionTime is not { } ended)
            return ReconciliationResult<PromptOptimizationJob>.Success(entity);
        var left = ended.ToUniversalTime() + Durations.Parse(ttl, "spec.ttlAfterFinished") - context.Time.GetUtcNow().UtcDateTime;
        if (left > TimeSpan.Zero)
            return ReconciliationResult<PromptOptimizationJob>.Success(entity, left);
        await context.Api.DeleteAsync(entity, cancellationToken).ConfigureAwait(false);
        return ReconciliationResult<PromptOptimizationJob>.Success(entity);
    }
}
