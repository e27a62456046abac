namespace Moebius.Inference.KvClient;

/// <summary>One attachment to the sidecar: valid until its Hold stream ends.</summary>
/// <param name="Id">The session's name in every call.</param>
/// <param name="Arena">The mapped arena.</param>
/// <param name="Client">The service.</param>
internal sealed record SidecarSession(string Id, ArenaView Arena, Kvcache.V1.KvCache.KvCacheClient Client) : IDisposable
{
    private int users = 1;

    /// <summary>Keeps the mapping alive during a call. False when the session has ended.</summary>
    public bool TryEnter()
    {
        var seen = Volatile.Read(ref users);
        while (seen > 0)
        {
            var before = Interlocked.CompareExchange(ref users, seen + 1, seen);
            if (before == seen)
                return true;
            seen = before;
        }

        return false;
    }

    /// <summary>Ends a call, or with the first owner's call the session itself.</summary>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref users) == 0)
            Arena.Dispose();
    }
}
