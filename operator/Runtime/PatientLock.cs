using System.Net;
using k8s.Autorest;
using k8s.LeaderElection;

namespace Moebius.Operator.Runtime;

/// <summary>
/// A lock for which an unreachable API server is a failed attempt and not the end: the elector tries again until its
/// deadline, instead of giving up leadership, or the whole campaign, at the first broken connection.
/// </summary>
internal sealed class PatientLock(ILock inner) : ILock
{
    /// <inheritdoc />
    public string Identity => inner.Identity;

    /// <inheritdoc />
    public async Task<LeaderElectionRecord> GetAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            return await inner.GetAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (IsPassing(error, cancellationToken))
        {
            using var response = new HttpResponseMessage(HttpStatusCode.ServiceUnavailable);
            throw new HttpOperationException(error.Message, error) { Response = new HttpResponseMessageWrapper(response, "") };
        }
    }

    /// <inheritdoc />
    public Task<bool> CreateAsync(LeaderElectionRecord record, CancellationToken cancellationToken = default) =>
        TryAsync(inner.CreateAsync(record, cancellationToken), cancellationToken);

    /// <inheritdoc />
    public Task<bool> UpdateAsync(LeaderElectionRecord record, CancellationToken cancellationToken = default) =>
        TryAsync(inner.UpdateAsync(record, cancellationToken), cancellationToken);

    /// <inheritdoc />
    public string Describe() => inner.Describe();

    private static async Task<bool> TryAsync(Task<bool> attempt, CancellationToken cancellationToken)
    {
        try
        {
            return await attempt.ConfigureAwait(false);
        }
        catch (Exception error) when (IsPassing(error, cancellationToken))
        {
            return false;
        }
    }

    private static bool IsPassing(Exception error, CancellationToken cancellationToken) =>
        error is HttpRequestException or IOException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested);
}
