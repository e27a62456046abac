using System.Net.Sockets;

namespace Moebius.Crds.Host;

/// <summary>HTTP, and so gRPC, over Unix sockets.</summary>
public static class UnixSockets
{
    /// <summary>Connects to one socket, whatever the address of a request says.</summary>
    /// <param name="path">Path of the socket; connected to when the first request is made.</param>
    public static SocketsHttpHandler Handler(string path) => new() { ConnectCallback = (_, cancel) => ConnectAsync(path, cancel) };

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancel)
    {
        var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await connection.ConnectAsync(new UnixDomainSocketEndPoint(path), cancel).ConfigureAwait(false);
            return new NetworkStream(connection, ownsSocket: true);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }
}
