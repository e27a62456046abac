using System.Net;

namespace Moebius.Crds.Host;

/// <summary>
/// Whose requests a server takes that listens on this machine only. A web page of anybody may have its own name resolve to
/// 127.0.0.1, and the browser then takes the answers for the page's; but the request says that name.
/// </summary>
public static class LocalHosts
{
    /// <summary>What is right, for the answer to a request that is refused.</summary>
    /// <param name="flag">That which says where the server listens.</param>
    public static string Right(string flag = "--listen") =>
        $"this server listens on this machine only, and answers to localhost, 127.0.0.1 and [::1]: use one of them, or give {flag} another address";

    /// <summary>Whether to answer.</summary>
    /// <param name="listens">Where the server listens. Anywhere but on loopback it may be reached by any name.</param>
    /// <param name="host">The request's host without its port; empty where an old client names none.</param>
    public static bool Accepts(IPAddress listens, string host) =>
        !IPAddress.IsLoopback(listens) || host.Length == 0 || host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address));
}
