using System.Text.Json;
using k8s.Autorest;

namespace Moebius.Cxl.Agent;

/// <summary>What may go wrong while the API server is asked, or a proxy before it: such failures pass, and the agent goes on.</summary>
internal static class ApiFailure
{
    /// <summary>No connection, a refusal, an answer that is no JSON or breaks off, or a time-out that is not the caller's own end.</summary>
    public static bool Is(Exception error, CancellationToken cancellation) =>
        error is HttpRequestException or HttpOperationException or IOException or JsonException
        || (error is OperationCanceledException && !cancellation.IsCancellationRequested);
}
