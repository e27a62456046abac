using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Moebius.Inference.Server;

/// <summary>
/// Marks the connections to the metrics' own address: whoever could poll the metrics around another tenant's request would
/// learn how long its prompt and its answer are, and what of it was found in the cache.
/// </summary>
internal sealed class MetricsConnection
{
    private static readonly MetricsConnection Only = new();

    private MetricsConnection()
    {
    }

    /// <summary>Whether a request came to the metrics' own address.</summary>
    public static bool Is(HttpContext context) => context.Features.Get<MetricsConnection>() is not null;

    /// <summary>Marks all connections of a listener.</summary>
    public static void Mark(ListenOptions listener) => listener.Use(next => connection =>
    {
        connection.Features.Set(Only);
        return next(connection);
    });
}
