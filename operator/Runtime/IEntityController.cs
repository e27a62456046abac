using k8s;
using k8s.Models;

namespace Moebius.Operator.Runtime;

/// <summary>Brings the world in line with one resource. The same shape as in KubeOps.</summary>
/// <typeparam name="TEntity">The resource.</typeparam>
public interface IEntityController<TEntity>
    where TEntity : IKubernetesObject<V1ObjectMeta>
{
    /// <summary>Looks at a resource and does what is missing. Called for any reason, any number of times.</summary>
    /// <param name="entity">The resource as last seen.</param>
    /// <param name="cancellationToken">Cancelled when this process stops or no longer leads.</param>
    Task<ReconciliationResult<TEntity>> ReconcileAsync(TEntity entity, CancellationToken cancellationToken);

    /// <summary>Told once that a resource is gone.</summary>
    /// <param name="entity">The resource as last seen.</param>
    /// <param name="cancellationToken">Cancelled when this process stops or no longer leads.</param>
    Task<ReconciliationResult<TEntity>> DeletedAsync(TEntity entity, CancellationToken cancellationToken);
}

/// <summary>Undoes what the cluster's garbage collection cannot, before a resource may go. The same shape as in KubeOps.</summary>
/// <typeparam name="TEntity">The resource.</typeparam>
public interface IEntityFinalizer<TEntity>
    where TEntity : IKubernetesObject<V1ObjectMeta>
{
    /// <summary>Cleans up; the finalizer is removed when this succeeds.</summary>
    /// <param name="entity">The resource, being deleted.</param>
    /// <param name="cancellationToken">Cancelled when this process stops or no longer leads.</param>
    Task<ReconciliationResult<TEntity>> FinalizeAsync(TEntity entity, CancellationToken cancellationToken);
}

/// <summary>How a reconciliation ended. The same shape as in KubeOps.</summary>
/// <typeparam name="TEntity">The resource.</typeparam>
public sealed record ReconciliationResult<TEntity>
    where TEntity : IKubernetesObject<V1ObjectMeta>
{
    private ReconciliationResult(TEntity entity, bool isSuccess, string? error, Exception? exception, TimeSpan? requeueAfter)
    {
        Entity = entity;
        IsSuccess = isSuccess;
        ErrorMessage = error;
        Error = exception;
        RequeueAfter = requeueAfter;
    }

    /// <summary>The resource.</summary>
    public TEntity Entity { get; }

    /// <summary>Whether all that could be done is done.</summary>
    public bool IsSuccess { get; }

    /// <summary>What went wrong.</summary>
    public string? ErrorMessage { get; }

    /// <summary>The error underneath.</summary>
    public Exception? Error { get; }

    /// <summary>When to look again though nothing has changed. Zero: when nothing else waits. Absent: not, or after a back-off for a failure.</summary>
    public TimeSpan? RequeueAfter { get; }

    /// <summary>All is done.</summary>
    public static ReconciliationResult<TEntity> Success(TEntity entity, TimeSpan? requeueAfter = null) => new(entity, true, null, null, requeueAfter);

    /// <summary>Something went wrong; it is tried again.</summary>
    public static ReconciliationResult<TEntity> Failure(TEntity entity, string errorMessage, Exception? error = null, TimeSpan? requeueAfter = null) =>
        new(entity, false, errorMessage, error, requeueAfter);
}
