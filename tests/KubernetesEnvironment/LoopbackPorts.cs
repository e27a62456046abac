using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Moebius.KubernetesEnvironment;

/// <summary>
/// Free TCP ports on the loopback address, from below the range that the kernel gives to outgoing connections (32768 up):
/// nothing takes such a port between its choice and the server's start, or while a server is being restarted.
/// </summary>
public static class LoopbackPorts
{
    private const int First = 20000;
    private const int End = 32768;

    private static readonly ConcurrentDictionary<int, bool> Given = new();

    /// <summary>A free port; never given twice by one process.</summary>
    public static int Take()
    {
        while (true)
        {
            var port = RandomNumberGenerator.GetInt32(First, End);
            if (Given.TryAdd(port, true) && IsFree(port))
                return port;
        }
    }

    private static bool IsFree(int port)
    {
        using var listener = new TcpListener(IPAddress.Loopback, port);
        try
        {
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
