using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Hot;

/// <summary>
/// The socket for the hot calls: one thread waits for all connections, reads their frames, answers those that need not
/// wait, and goes on. gRPC's own cost for a call is many times that of a lookup.
/// </summary>
internal sealed class HotServer : IDisposable
{
    private const int ListenerNumber = 0;
    private const int StopNumber = 1;

    /// <summary>Milliseconds until connections are taken again after there was no descriptor for one.</summary>
    private const int FullPause = 100;

    private readonly CacheStore _store;
    private readonly ILogger _logger;
    private readonly string _path;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Socket _stop;
    private readonly Socket _stopped;
    private readonly Epoll _epoll = new();
    private readonly HotBuffers _buffers = new();
    private readonly Dictionary<int, HotConnection> _connections = [];
    private readonly Thread _thread;
    private int _nextNumber = StopNumber;

    private HotServer(string path, CacheStore store, ILogger logger)
    {
        _path = path;
        _store = store;
        _logger = logger;
        _listener.Blocking = false;
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, SharedFiles.Mode);
        _listener.Listen(256);
        (_stop, _stopped) = Pair();
        _epoll.Watch(_listener, ListenerNumber);
        _epoll.Watch(_stopped, StopNumber);
        _thread = new Thread(Run) { IsBackground = true, Name = "hot calls" };
    }

    /// <summary>Listens on a path that nothing else uses.</summary>
    /// <exception cref="SocketException">The socket cannot be made.</exception>
    public static HotServer Start(string path, CacheStore store, ILogger logger)
    {
        File.Delete(path);
        var server = new HotServer(path, store, logger);
        server._thread.Start();
        return server;
    }

    public void Dispose()
    {
        _stop.Send([1]);
        _thread.Join();
        foreach (var connection in _connections.Values)
            connection.Dispose();
        _listener.Dispose();
        _stop.Dispose();
        _stopped.Dispose();
        _epoll.Dispose();
        File.Delete(_path);
    }

    private static (Socket, Socket) Pair()
    {
        // An abstract address: nothing to clean up.
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint("\0moebius-" + Guid.NewGuid().ToString("N")));
        listener.Listen(1);
        var one = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        one.Connect(listener.LocalEndPoint!);
        return (one, listener.Accept());
    }

    private void Run()
    {
        Span<Ready> ready = stackalloc Ready[64];
        // When to take connections again; null: at any time.
        long? pausedUntil = null;
        while (true)
        {
            var count = _epoll.Wait(ready, pausedUntil is null ? -1 : FullPause);
            if (Environment.TickCount64 >= pausedUntil)
            {
                pausedUntil = null;
                _epoll.Again(_listener, ListenerNumber, writable: false);
            }

            for (var index = 0; index < count; index++)
            {
                switch (ready[index].Number)
                {
                    case StopNumber:
                        return;
                    case ListenerNumber:
                        // Who waits for a descriptor would be reported again at once.
                        if (TryAccept())
                            _epoll.Again(_listener, ListenerNumber, writable: false);
                        else
                            pausedUntil = Environment.TickCount64 + FullPause;
                        break;
                    case var number when _connections.TryGetValue(number, out var connection):
                        if (!Serve(connection, ready[index].Ended))
                        {
                            _connections.Remove(number);
                            connection.Dispose();
                        }

                        break;
                }
            }
        }
    }

    /// <summary>False: the process or the machine has no room for one more connection. What is open goes on.</summary>
    private bool TryAccept()
    {
        Socket? socket = null;
        try
        {
            socket = _listener.Accept();
            socket.Blocking = false;
            var number = ++_nextNumber;
            _epoll.Watch(socket, number);
            _connections[number] = new HotConnection(socket, number, _epoll, _store, _buffers);
            return true;
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.WouldBlock or SocketError.ConnectionAborted)
        {
            return true;
        }
        catch (Exception error) when (error is SocketException or IOException)
        {
            socket?.Dispose();
            return false;
        }
    }

    private bool Serve(HotConnection connection, bool ended)
    {
        try
        {
            return connection.Serve(ended);
        }
        catch (MalformedFrameException error)
        {
            // The reason quotes nothing that was sent.
            _logger.LogWarning("A frame of the hot socket could not be read ({Reason}); its connection is closed", error.Message);
            return false;
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            _logger.LogError("A connection of the hot socket failed with {Error}", error.GetType().Name);
            return false;
        }
    }
}
