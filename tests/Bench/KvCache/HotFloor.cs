using System.Buffers.Binary;
using System.Net.Sockets;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Hot;

namespace Moebius.Bench.KvCache;

/// <summary>
/// The least that an exchange of a lookup's frames can cost here: one thread reads each request and sends an answer that
/// was made before. No session, no tenant, no hashing, no tree: what is left is the sockets and the scheduler.
/// </summary>
internal sealed class HotFloor : IDisposable
{
    private const int Listener = 0;
    private const int Stop = 1;

    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Socket _stop = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Epoll _epoll = new();
    private readonly List<(Socket Socket, int Missing)> _connections = [];
    private readonly byte[] _answer;
    private readonly byte[] _input = new byte[64 << 10];
    private readonly Thread _thread;

    /// <param name="path">Of the socket.</param>
    /// <param name="blocks">Slots of an answer.</param>
    public HotFloor(string path, int blocks)
    {
        var buffer = Array.Empty<byte>();
        var length = HotMessages.WriteAnswer(ref buffer, 1, 1, 0, [.. Enumerable.Range(0, blocks).Select(static slot => new SlotRef(slot, 1))]);
        _answer = buffer[..length];
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen(256);
        _epoll.Watch(_listener, Listener);
        _stop.Connect(_listener.LocalEndPoint!);
        // The first connection is the one that stops all.
        _connections.Add((_listener.Accept(), 0));
        _epoll.Watch(_connections[0].Socket, Stop);
        _thread = new Thread(Run) { IsBackground = true };
        _thread.Start();
    }

    public void Dispose()
    {
        _stop.Send([1]);
        _thread.Join();
        foreach (var (socket, _) in _connections)
            socket.Dispose();
        _stop.Dispose();
        _listener.Dispose();
        _epoll.Dispose();
    }

    private void Run()
    {
        Span<Ready> ready = stackalloc Ready[64];
        while (true)
        {
            var count = _epoll.Wait(ready, -1);
            for (var index = 0; index < count; index++)
            {
                if (ready[index].Number == Stop)
                    return;
                if (ready[index].Number == Listener)
                {
                    _connections.Add((_listener.Accept(), 0));
                    _epoll.Watch(_connections[^1].Socket, _connections.Count);
                    _epoll.Again(_listener, Listener, writable: false);
                    continue;
                }

                Serve(ready[index].Number - 1);
            }
        }
    }

    private void Serve(int connection)
    {
        var (socket, missing) = _connections[connection];
        var read = socket.Receive(_input);
        if (read == 0)
            return;
        // A release may stand before the lookup; what is missing of one is counted, and nothing is looked at.
        for (var at = 0; at < read;)
        {
            if (missing == 0)
            {
                var frame = BinaryPrimitives.ReadInt32LittleEndian(_input.AsSpan(at)) + sizeof(int);
                missing = _input[at + 4] == HotMessages.Lookup ? frame : -frame;
            }

            var taken = Math.Min(read - at, Math.Abs(missing));
            at += taken;
            if (missing == taken)
                socket.Send(_answer);
            missing -= taken * Math.Sign(missing);
        }

        _connections[connection] = (socket, missing);
    }
}
