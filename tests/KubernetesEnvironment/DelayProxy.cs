using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace Moebius.KubernetesEnvironment;

/// <summary>A TCP proxy whose bytes from client to server arrive late; it delays, and does not slow the flow.</summary>
internal sealed class DelayProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly int _target;
    private readonly Task _accepting;
    private long _delay;

    public DelayProxy(int target)
    {
        _target = target;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public TimeSpan Delay
    {
        get => TimeSpan.FromTicks(Interlocked.Read(ref _delay));
        set => Interlocked.Exchange(ref _delay, value.Ticks);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _listener.Stop();
        await _accepting.ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        var connections = new List<Task>();
        try
        {
            while (true)
                connections.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token).ConfigureAwait(false)));
        }
        // "Not listening", where it is stopped between two connections.
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            await Task.WhenAll(connections).ConfigureAwait(false);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        using (var server = new TcpClient())
        {
            try
            {
                await server.ConnectAsync(IPAddress.Loopback, _target, _stop.Token).ConfigureAwait(false);
                var back = server.GetStream().CopyToAsync(client.GetStream(), _stop.Token);
                await Task.WhenAny(ForwardAsync(client.GetStream(), server.GetStream()), back).ConfigureAwait(false);
            }
            catch (Exception error) when (error is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
            {
                // Either side may hang up.
            }
        }
    }

    private async Task ForwardAsync(NetworkStream from, NetworkStream to)
    {
        var late = Channel.CreateUnbounded<(DateTime Due, byte[] Bytes)>();
        var writing = WriteAsync(late.Reader, to);
        var buffer = new byte[1 << 16];
        try
        {
            while (await from.ReadAsync(buffer, _stop.Token).ConfigureAwait(false) is > 0 and var read)
                await late.Writer.WriteAsync((DateTime.UtcNow + Delay, buffer[..read]), _stop.Token).ConfigureAwait(false);
        }
        finally
        {
            late.Writer.Complete();
        }

        await writing.ConfigureAwait(false);
    }

    private async Task WriteAsync(ChannelReader<(DateTime Due, byte[] Bytes)> late, NetworkStream to)
    {
        await foreach (var (due, bytes) in late.ReadAllAsync(_stop.Token).ConfigureAwait(false))
        {
            var wait = due - DateTime.UtcNow;
            if (wait > TimeSpan.Zero)
                await Task.Delay(wait, _stop.Token).ConfigureAwait(false);
            await to.WriteAsync(bytes, _stop.Token).ConfigureAwait(false);
        }
    }
}
