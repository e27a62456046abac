using Grpc.Core;

namespace Moebius.KvCache.Service;

/// <summary>A call that cannot be honoured: the status code and one line that names field, value and remedy, never a tenant or text.</summary>
internal sealed class CacheException(StatusCode code, string message) : Exception(message)
{
    public StatusCode Code { get; } = code;
}
