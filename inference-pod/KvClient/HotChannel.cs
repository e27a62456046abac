using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using Google.Protobuf;
using Grpc.Core;
using Moebius.Inference.Engine;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.KvClient;

/// <summary>
/// Lookup and Release in frames over the sidecar's second socket (protos/kvcache.proto says how): a lookup comes before
/// every prefill, and gRPC alone costs several times what the lookup itself does.
/// </summary>
internal sealed class HotChannel : IDisposable
{
    private const byte LookupKind = 1;
    private const byte ReleaseKind = 2;
    private const byte ErrorKind = 3;
    private const int HeaderBytes = 9;
    private const int MaxFrameBytes = 32 << 20;

    private readonly Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly object sending = new();
    private readonly ConcurrentDictionary<uint, TaskCompletionSource<LookupResponse>> pending = [];
    private uint calls;

    /// <exception cref="SocketException">Nobody listens there.</exception>
    public HotChannel(string path)
    {
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch
        {
            socket.Dispose();
            throw;
        }

        _ = Task.Run(ReadAsync);
    }

    /// <summary>False once the connection has broken; calls then fail.</summary>
    public bool Alive { get; private set; } = true;

    /// <summary>Looks a prefix up.</summary>
    /// <exception cref="RpcException">The sidecar's answer, or the connection broke.</exception>
    public async Task<LookupResponse> LookupAsync(string session, Tenant tenant, ReadOnlyMemory<int> tokens, TimeSpan wait, TimeSpan deadline, CancellationToken stop)
    {
        var request = new LookupRequest { Session = session, Tenant = tenant.Name, Anonymous = tenant.Anonymous, WaitMilliseconds = (uint)wait.TotalMilliseconds };
        var call = Interlocked.Increment(ref calls);
        var answer = pending[call] = new TaskCompletionSource<LookupResponse>(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            Send(Frame(LookupKind, call, request, tokens.Span));
            if (!Alive)
                throw Broken();
            return await answer.Task.WaitAsync(deadline, stop).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new RpcException(new Status(StatusCode.DeadlineExceeded, "the sidecar did not answer in time"));
        }
        finally
        {
            if (pending.TryRemove(call, out _) && !answer.Task.IsCompletedSuccessfully)
                _ = answer.Task.ContinueWith(static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        }
    }

    /// <summary>Gives a lease or slots back; nobody waits for it.</summary>
    public void Release(ReleaseRequest request) => Send(Frame(ReleaseKind, 0, request, []));

    public void Dispose()
    {
        Alive = false;
        socket.Dispose();
    }

    /// <summary>A message in a frame, with tokens written straight into it as field 4.</summary>
    internal static byte[] Frame(byte kind, uint call, IMessage message, ReadOnlySpan<int> tokens)
    {
        var head = message.CalculateSize();
        var packed = 0;
        foreach (var token in tokens)
            packed += VarintBytes((uint)token);
        var frame = new byte[HeaderBytes + head + (packed == 0 ? 0 : 1 + VarintBytes((uint)packed) + packed)];
        BinaryPrimitives.WriteUInt32LittleEndian(frame, (uint)frame.Length - sizeof(uint));
        frame[4] = kind;
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(5), call);
        message.WriteTo(frame.AsSpan(HeaderBytes, head));
        if (packed == 0)
            return frame;
        var at = HeaderBytes + head;
        frame[at++] = (4 << 3) | 2;
        WriteVarint(frame, ref at, (uint)packed);
        foreach (var token in tokens)
            WriteVarint(frame, ref at, (uint)token);
        return frame;
    }

    private static int VarintBytes(uint value) => value < 1 << 7 ? 1 : value < 1 << 14 ? 2 : value < 1 << 21 ? 3 : value < 1 << 28 ? 4 : 5;

    private static void WriteVarint(byte[] target, ref int at, uint value)
    {
        for (; value >= 0x80; value >>= 7)
            target[at++] = (byte)(value | 0x80);
        target[at++] = (byte)value;
    }

    private static RpcException Broken() => new(new Status(StatusCode.Unavailable, "the connection to the sidecar broke"));

    private void Send(byte[] frame)
    {
        try
        {
            lock (sending)
            {
                for (var sent = 0; sent < frame.Length;)
                    sent += socket.Send(frame.AsSpan(sent));
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            Alive = false;
        }
    }

    private async Task ReadAsync()
    {
        var buffer = new byte[16 << 10];
        try
        {
            using var stream = new NetworkStream(socket, ownsSocket: false);
            while (true)
            {
                await stream.ReadExactlyAsync(buffer.AsMemory(0, HeaderBytes)).ConfigureAwait(false);
                var length = BinaryPrimitives.ReadUInt32LittleEndian(buffer);
                if (length is < HeaderBytes - sizeof(uint) or > MaxFrameBytes)
                    break;
                var (kind, call) = (buffer[4], BinaryPrimitives.ReadUInt32LittleEndian(buffer.AsSpan(5)));
                var body = (int)length - (HeaderBytes - sizeof(uint));
                if (buffer.Length < body)
                    buffer = new byte[body];
                await stream.ReadExactlyAsync(buffer.AsMemory(0, body)).ConfigureAwait(false);
                Settle(kind, call, buffer.AsSpan(0, body));
            }
        }
        catch (Exception error) when (error is IOException or SocketException or ObjectDisposedException or InvalidProtocolBufferException)
        {
            // The session notices by its own stream; here only the calls under way end.
        }

        Alive = false;
        foreach (var call in pending.Values)
            call.TrySetException(Broken());
    }

    private void Settle(byte kind, uint call, ReadOnlySpan<byte> body)
    {
        if (kind == ErrorKind)
        {
            var error = HotError.Parser.ParseFrom(body);
            if (pending.TryGetValue(call, out var failed))
                failed.TrySetException(new RpcException(new Status((StatusCode)error.Code, error.Message)));
            return;
        }

        var found = LookupResponse.Parser.ParseFrom(body);
        // Nobody waits any more: what was pinned for the answer must not stay so until the session ends.
        if (!pending.TryGetValue(call, out var waiting) || !waiting.TrySetResult(found))
            Late?.Invoke(found);
    }

    /// <summary>Told about answers that came too late.</summary>
    public Action<LookupResponse>? Late { get; init; }
}
