using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
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
    private const byte ReleaseSlotsKind = 2;
    private const byte ErrorKind = 3;
    private const byte LookupKind = 4;
    private const byte ReleaseKind = 5;
    private const byte AnonymousFlag = 1;
    private const byte AgainFlag = 2;
    private const int HeaderBytes = 9;
    private const int LookupHeadBytes = 8;
    private const int AnswerHeadBytes = 12;
    private const int SlotBytes = 12;
    private const int MaxFrameBytes = 32 << 20;

    /// <summary>How long a frame may wait for room, in milliseconds: a sidecar that hangs must not hold whoever asks it.</summary>
    private const int SendMilliseconds = 1000;

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { SendTimeout = SendMilliseconds };
    private readonly object _sending = new();
    private readonly ConcurrentDictionary<uint, TaskCompletionSource<FoundBlocks>> _pending = [];
    private uint _calls;

    /// <exception cref="SocketException">Nobody listens there.</exception>
    public HotChannel(string path)
    {
        try
        {
            _socket.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch
        {
            _socket.Dispose();
            throw;
        }

        Ended = Task.Run(ReadAsync);
    }

    /// <summary>Ends, without an error, when the connection has broken or was closed.</summary>
    public Task Ended { get; }

    /// <summary>False once the connection has broken; calls then fail.</summary>
    public bool Alive { get; private set; } = true;

    /// <summary>Looks a prefix up.</summary>
    /// <exception cref="RpcException">The sidecar's answer, or the connection broke.</exception>
    public async Task<FoundBlocks> LookupAsync(string session, Tenant tenant, ReadOnlyMemory<int> tokens, bool again, TimeSpan wait, TimeSpan deadline, CancellationToken stop)
    {
        var call = Interlocked.Increment(ref _calls);
        var delivered = false;
        var answer = _pending[call] = new TaskCompletionSource<FoundBlocks>(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            Send(LookupFrame(call, session, tenant, tokens.Span, again, wait));
            if (!Alive)
                throw Broken();
            var found = await answer.Task.WaitAsync(deadline, stop).ConfigureAwait(false);
            delivered = true;
            return found;
        }
        catch (TimeoutException)
        {
            throw new RpcException(new Status(StatusCode.DeadlineExceeded, "the sidecar did not answer in time"));
        }
        finally
        {
            _pending.TryRemove(call, out _);
            // What came between giving up and here is late, too; what comes after finds that nobody waits.
            if (!delivered && !answer.TrySetCanceled(CancellationToken.None) && answer.Task.Exception is null)
                Late?.Invoke(answer.Task.Result);
        }
    }

    /// <summary>Ends a lease; nobody waits for it.</summary>
    public void Release(string session, ulong lease)
    {
        var frame = new byte[HeaderBytes + sizeof(ulong) + Encoding.UTF8.GetByteCount(session)];
        WriteHeader(frame, ReleaseKind, 0);
        BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(HeaderBytes), lease);
        Encoding.UTF8.GetBytes(session, frame.AsSpan(HeaderBytes + sizeof(ulong)));
        Send(frame);
    }

    /// <summary>Gives slots back; nobody waits for it.</summary>
    public void Release(ReleaseRequest request)
    {
        var frame = new byte[HeaderBytes + request.CalculateSize()];
        WriteHeader(frame, ReleaseSlotsKind, 0);
        request.WriteTo(frame.AsSpan(HeaderBytes));
        Send(frame);
    }

    public void Dispose()
    {
        Alive = false;
        _socket.Dispose();
    }

    private static byte[] LookupFrame(uint call, string session, Tenant tenant, ReadOnlySpan<int> tokens, bool again, TimeSpan wait)
    {
        var (sessionBytes, tenantBytes) = (Encoding.UTF8.GetByteCount(session), Encoding.UTF8.GetByteCount(tenant.Name));
        if (sessionBytes > byte.MaxValue || tenantBytes > ushort.MaxValue)
            throw new RpcException(new Status(StatusCode.InvalidArgument, "tenant: longer than 65,535 bytes"));
        var names = HeaderBytes + LookupHeadBytes;
        var frame = new byte[names + sessionBytes + tenantBytes + (tokens.Length * sizeof(int))];
        WriteHeader(frame, LookupKind, call);
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(HeaderBytes), (uint)wait.TotalMilliseconds);
        frame[HeaderBytes + 4] = (byte)((tenant.Anonymous ? AnonymousFlag : 0) | (again ? AgainFlag : 0));
        frame[HeaderBytes + 5] = (byte)sessionBytes;
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(HeaderBytes + 6), (ushort)tenantBytes);
        Encoding.UTF8.GetBytes(session, frame.AsSpan(names));
        Encoding.UTF8.GetBytes(tenant.Name, frame.AsSpan(names + sessionBytes));
        MemoryMarshal.AsBytes(tokens).CopyTo(frame.AsSpan(names + sessionBytes + tenantBytes));
        return frame;
    }

    private static void WriteHeader(byte[] frame, byte kind, uint call)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(frame, (uint)frame.Length - sizeof(uint));
        frame[4] = kind;
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(5), call);
    }

    private static RpcException Broken() => new(new Status(StatusCode.Unavailable, "the connection to the sidecar broke"));

    private void Send(byte[] frame)
    {
        try
        {
            lock (_sending)
            {
                for (var sent = 0; sent < frame.Length;)
                    sent += _socket.Send(frame.AsSpan(sent));
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // A part of the frame may be on its way: nothing can follow it.
            Dispose();
        }
    }

    private async Task ReadAsync()
    {
        var buffer = new byte[16 << 10];
        try
        {
            using var stream = new NetworkStream(_socket, ownsSocket: false);
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
            // Here the calls under way end; who waits for the end of this ends the session.
        }

        Alive = false;
        foreach (var call in _pending.Values)
            call.TrySetException(Broken());
    }

    private void Settle(byte kind, uint call, ReadOnlySpan<byte> body)
    {
        if (kind == ErrorKind)
        {
            var error = HotError.Parser.ParseFrom(body);
            if (_pending.TryGetValue(call, out var failed))
                failed.TrySetException(new RpcException(new Status((StatusCode)error.Code, error.Message)));
            return;
        }

        if (kind != LookupKind || body.Length < AnswerHeadBytes)
            return;
        var slots = new uint[(body.Length - AnswerHeadBytes) / SlotBytes];
        for (var slot = 0; slot < slots.Length; slot++)
            slots[slot] = BinaryPrimitives.ReadUInt32LittleEndian(body[(AnswerHeadBytes + (slot * SlotBytes))..]);
        var found = new FoundBlocks(BinaryPrimitives.ReadUInt64LittleEndian(body), slots);
        // Nobody waits any more: what was pinned for the answer must not stay so until the session ends.
        if (!_pending.TryGetValue(call, out var waiting) || !waiting.TrySetResult(found))
            Late?.Invoke(found);
    }

    /// <summary>Told about answers that came too late.</summary>
    public Action<FoundBlocks>? Late { get; init; }
}
