using System.Buffers.Binary;
using System.Net.Sockets;
using Grpc.Core;
using Moebius.Kvcache.V1;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Hot;

/// <summary>One engine's connection to the hot socket. Reads on the server's thread; answers that had to wait are sent from others.</summary>
internal sealed class HotConnection(Socket socket, int number, Epoll epoll, CacheStore store, HotBuffers buffers) : IDisposable
{
    /// <summary>Answers that a client does not fetch; beyond, it is disconnected.</summary>
    private const int MaxUnsent = 16 << 20;

    private readonly object _gate = new();
    private readonly CancellationTokenSource _closed = new();
    // What is being read: the buffer that all connections share, or an own one while a frame is incomplete.
    private byte[] _input = buffers.Input;
    private byte[] _own = [];
    private byte[] _unsent = [];
    private int _begin;
    private int _end;
    private bool _disposed;

    /// <summary>Does what can be done now. False: the connection has ended.</summary>
    /// <param name="ended">The other side sends nothing more.</param>
    public bool Serve(bool ended)
    {
        if (Volatile.Read(ref _unsent).Length > 0)
        {
            lock (_gate)
            {
                if (_unsent.Length > 0 && !Flush())
                    return false;
            }
        }

        MakeRoom();
        var room = _input.Length - _end;
        var read = socket.Receive(_input.AsSpan(_end), SocketFlags.None, out var error);
        if (error == SocketError.WouldBlock)
            return true;
        if (error != SocketError.Success || read == 0)
            return false;
        _end += read;
        while (TryFrame(out var kind, out var call, out var message))
            Handle(kind, call, message);
        KeepRest();
        // A read that fills what it was given may have left something. The other connections come first.
        if (read == room || ended)
        {
            lock (_gate)
                epoll.Again(socket, number, writable: _unsent.Length > 0);
        }

        return true;
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            socket.Dispose();
        }

        _closed.Cancel();
        _closed.Dispose();
    }

    /// <summary>An incomplete frame leaves the shared buffer; a connection without one keeps none.</summary>
    private void KeepRest()
    {
        var rest = _input.AsSpan(_begin, _end - _begin);
        if (!rest.IsEmpty && ReferenceEquals(_input, buffers.Input))
        {
            if (_own.Length < rest.Length)
                _own = new byte[_input.Length];
            rest.CopyTo(_own);
            (_input, _begin, _end) = (_own, 0, rest.Length);
        }
    }

    private void MakeRoom()
    {
        if (_begin == _end)
            (_input, _begin, _end) = (buffers.Input, 0, 0);
        var wanted = _end - _begin >= sizeof(uint) ? Length(_begin) + sizeof(uint) : HotMessages.HeaderBytes;
        if (_begin > 0 && _begin + wanted > _input.Length)
        {
            _input.AsSpan(_begin, _end - _begin).CopyTo(_input);
            (_begin, _end) = (0, _end - _begin);
        }

        if (wanted > _input.Length)
        {
            Array.Resize(ref _input, Math.Max(wanted, Math.Min(2 * _input.Length, HotMessages.MaxFrameBytes)));
            _own = _input;
        }
    }

    private int Length(int at)
    {
        var length = BinaryPrimitives.ReadUInt32LittleEndian(_input.AsSpan(at));
        return length is >= HotMessages.HeaderBytes - sizeof(uint) and <= HotMessages.MaxFrameBytes
            ? (int)length
            : throw new MalformedFrameException($"a length of {length}");
    }

    private bool TryFrame(out byte kind, out uint call, out ReadOnlySpan<byte> message)
    {
        (kind, call) = (0, 0);
        message = default;
        if (_end - _begin < sizeof(uint) || Length(_begin) is var length && _end - _begin < length + sizeof(uint))
            return false;
        kind = _input[_begin + 4];
        call = BinaryPrimitives.ReadUInt32LittleEndian(_input.AsSpan(_begin + 5));
        message = _input.AsSpan(_begin + HotMessages.HeaderBytes, length + sizeof(uint) - HotMessages.HeaderBytes);
        _begin += length + sizeof(uint);
        return true;
    }

    private void Handle(byte kind, uint call, ReadOnlySpan<byte> message)
    {
        switch (kind)
        {
            case HotMessages.Lookup:
                Lookup(call, HotMessages.ReadLookup(message));
                break;
            case HotMessages.Release:
                var lease = HotMessages.ReadRelease(message, out var session);
                if (store.TrySession(session) is { } known)
                    known.EndLease(lease);
                break;
            case HotMessages.ReleaseSlots:
                Release(HotMessages.ReadReleaseSlots(message));
                break;
            default:
                throw new MalformedFrameException($"kind {kind}");
        }
    }

    private void Lookup(uint call, in HotLookup request)
    {
        try
        {
            var session = store.TrySession(request.Session) ?? throw CacheStore.UnknownSession();
            var slots = buffers.Slots(request.Tokens.Length / session.Root.BlockTokens);
            var answer = store.LookupAsync(session, request.Tenant, request.IsAnonymous, request.IsAgain, request.Tokens, request.WaitMilliseconds, slots, _closed.Token);
            if (!answer.IsCompletedSuccessfully)
            {
                _ = SendLaterAsync(call, session, answer.AsTask());
                return;
            }

            var found = answer.Result;
            if (!Send(buffers.Answer(call, found)))
                session.EndLease(found.Lease);
        }
        catch (CacheException error)
        {
            Send(HotMessages.Frame(HotMessages.Error, call, new HotError { Code = (uint)error.Code, Message = error.Message }));
        }
    }

    private void Release(ReleaseRequest request)
    {
        try
        {
            store.Release(request.Session, KvCacheService.LeaseNumber(request.Lease), KvCacheService.Slots(request.Slots));
        }
        catch (CacheException)
        {
            // Nobody waits for an answer; what could be given back was.
        }
    }

    private async Task SendLaterAsync(uint call, Session session, Task<LookupAnswer> pending)
    {
        try
        {
            var answer = await pending;
            // Not on the server's thread: in memory of its own.
            if (!Send(new HotBuffers().Answer(call, answer)))
                session.EndLease(answer.Lease);
        }
        catch (CacheException error)
        {
            Send(HotMessages.Frame(HotMessages.Error, call, new HotError { Code = (uint)error.Code, Message = error.Message }));
        }
        catch (OperationCanceledException)
        {
            Send(HotMessages.Frame(HotMessages.Error, call, new HotError { Code = (uint)StatusCode.Cancelled }));
        }
    }

    private bool Send(ReadOnlySpan<byte> frame)
    {
        lock (_gate)
            return SendLocked(frame);
    }

    private bool SendLocked(ReadOnlySpan<byte> frame)
    {
        if (_disposed)
            return false;
        if (_unsent.Length == 0)
        {
            var sent = socket.Send(frame, SocketFlags.None, out var error);
            if (error is not (SocketError.Success or SocketError.WouldBlock))
                return false;
            frame = frame[(error == SocketError.Success ? sent : 0)..];
            if (frame.Length == 0)
                return true;
            epoll.Again(socket, number, writable: true);
        }

        if (_unsent.Length + frame.Length > MaxUnsent)
        {
            socket.Shutdown(SocketShutdown.Both);
            return false;
        }

        _unsent = [.. _unsent, .. frame];
        return true;
    }

    private bool Flush()
    {
        var sent = socket.Send(_unsent, SocketFlags.None, out var error);
        if (error is not (SocketError.Success or SocketError.WouldBlock))
            return false;
        _unsent = error == SocketError.Success ? _unsent[sent..] : _unsent;
        if (_unsent.Length == 0)
            epoll.Again(socket, number, writable: false);
        return true;
    }
}
