using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>Stands between a pod and a real server, and keeps the server's answers back from a chosen command on.</summary>
internal sealed class HeldServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly object _gate = new();
    private readonly int _port;
    private readonly Task _accepting;
    private byte[]? _awaited;
    private TaskCompletionSource _seen = new();
    private TaskCompletionSource _answers = new();

    public HeldServer(PeerServer server)
    {
        _port = server.Port;
        _answers.SetResult();
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public string Address => $"127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}";

    /// <summary>Keeps all answers back as soon as a command comes by; the server carries it out.</summary>
    /// <returns>Ends when it has come by.</returns>
    public Task Hold(string command)
    {
        lock (_gate)
        {
            _awaited = Encoding.ASCII.GetBytes($"\r\n${command.Length}\r\n{command}\r\n");
            _seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _seen.Task;
        }
    }

    /// <summary>Passes on what was kept back.</summary>
    public void Release()
    {
        lock (_gate)
            _answers.TrySetResult();
    }

    /// <summary>Passes on what was kept back and all that comes.</summary>
    public void ReleaseAll()
    {
        lock (_gate)
        {
            _awaited = null;
            Release();
        }
    }

    /// <summary>Passes it on at the end of a test that failed before it did: a client waits for its answers when it is closed.</summary>
    public IDisposable Releasing() => new Releaser(this);

    public async ValueTask DisposeAsync()
    {
        Release();
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        var relays = new List<Task>();
        try
        {
            while (true)
                relays.Add(RelayAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
        }
        // "Not listening", where it is disposed of between two connections.
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            await Task.WhenAll(relays);
        }
    }

    private async Task RelayAsync(TcpClient pod)
    {
        using (pod)
        using (var server = new TcpClient())
        {
            try
            {
                await server.ConnectAsync(IPAddress.Loopback, _port, _stop.Token);
                await Task.WhenAny(CommandsAsync(pod.GetStream(), server.GetStream()), AnswersAsync(server.GetStream(), pod.GetStream()));
            }
            catch (Exception error) when (error is OperationCanceledException or SocketException)
            {
                // One side is gone.
            }
        }
    }

    private async Task CommandsAsync(NetworkStream from, NetworkStream to)
    {
        // What a command's name may have begun with in the bytes before.
        byte[] rest = [];
        var buffer = new byte[1 << 16];
        while (await ReadAsync(from, buffer) is var count and > 0)
        {
            byte[] bytes = [.. rest, .. buffer.AsSpan(0, count)];
            lock (_gate)
            {
                if (_awaited is not null && bytes.AsSpan().IndexOf(_awaited) >= 0)
                {
                    _awaited = null;
                    _answers = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                    _seen.SetResult();
                }
            }

            rest = bytes[^Math.Min(bytes.Length, 32)..];
            await WriteAsync(to, buffer.AsMemory(0, count));
        }
    }

    private async Task AnswersAsync(NetworkStream from, NetworkStream to)
    {
        var buffer = new byte[1 << 16];
        while (await ReadAsync(from, buffer) is var count and > 0)
        {
            Task answers;
            lock (_gate)
                answers = _answers.Task;
            await answers;
            await WriteAsync(to, buffer.AsMemory(0, count));
        }
    }

    private async Task<int> ReadAsync(NetworkStream from, byte[] buffer)
    {
        try
        {
            return await from.ReadAsync(buffer, _stop.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or ObjectDisposedException)
        {
            return 0;
        }
    }

    private async Task WriteAsync(NetworkStream to, ReadOnlyMemory<byte> bytes)
    {
        try
        {
            await to.WriteAsync(bytes, _stop.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or ObjectDisposedException)
        {
            // The side that reads is gone; the next reading says so too.
        }
    }

    private sealed class Releaser(HeldServer held) : IDisposable
    {
        public void Dispose() => held.Release();
    }
}
