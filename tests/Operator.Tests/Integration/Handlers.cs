using System.Net;
using System.Text;

namespace Moebius.Operator.Tests.Integration;

/// <summary>Between an operator and the API server: ends the operator's life at a chosen write.</summary>
/// <param name="at">The write, from 1.</param>
/// <param name="arrives">Whether that write still reaches the server.</param>
internal sealed class DeathHandler(int at, bool arrives) : DelegatingHandler
{
    private readonly TaskCompletionSource dead = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int writes;

    /// <summary>Completes at the write.</summary>
    public Task Dead => dead.Task;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (dead.Task.IsCompleted)
            throw new HttpRequestException("the operator is dead");
        var isWrite = request.Method != HttpMethod.Get && !request.RequestUri!.AbsolutePath.Contains("/events", StringComparison.Ordinal);
        if (isWrite && Interlocked.Increment(ref writes) == at)
        {
            if (arrives)
                (await base.SendAsync(request, cancellationToken)).Dispose();
            dead.TrySetResult();
            throw new HttpRequestException("the operator has just died");
        }

        return await base.SendAsync(request, cancellationToken);
    }
}

/// <summary>Answers every watch with 410 Gone while it is told to, and counts all requests.</summary>
internal sealed class GoneHandler : DelegatingHandler
{
    private int requests;

    public volatile bool Active = true;

    public int Requests => Volatile.Read(ref requests);

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref requests);
        if (Active && request.RequestUri!.Query.Contains("watch=true", StringComparison.Ordinal))
        {
            return new HttpResponseMessage(HttpStatusCode.Gone)
            {
                Content = new StringContent("""{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old resource version"}""", Encoding.UTF8, "application/json"),
            };
        }

        return await base.SendAsync(request, cancellationToken);
    }
}
