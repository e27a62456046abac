using System.Net;
using System.Net.Sockets;

namespace Moebius.Cli.Local;

/// <summary>Which loopback ports can be bound now.</summary>
internal static class LocalPorts
{
    public static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
