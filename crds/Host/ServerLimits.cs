namespace Moebius.Crds.Host;

/// <summary>Most connections of a server at one time: each takes memory, whatever it sends. Further ones are closed unanswered.</summary>
public static class ServerLimits
{
    /// <summary>Of a server that programs ask: a few probes, scrapers and clients of the same machine.</summary>
    public const int Programs = 256;

    /// <summary>Of a server that people and their programs ask, at the least.</summary>
    public const int Clients = 2048;
}
