using System.Buffers.Binary;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Moebius.KvCache.Hot;

/// <summary>What happened to a socket.</summary>
/// <param name="Number">The one that it is watched under.</param>
/// <param name="Ended">The other side sends nothing more: what it has sent is to be read to its end.</param>
internal readonly record struct Ready(int Number, bool Ended);

/// <summary>
/// Waits for many sockets on one thread (epoll(7)), edge-triggered: sockets come in the order in which something arrived on
/// them. Level-triggered ones come in the order in which they were last served, and now and then one misses a whole round.
/// </summary>
internal sealed partial class Epoll : IDisposable
{
    private const int CloseOnExec = 0x80000;
    private const int Add = 1;
    private const int Modify = 3;
    private const uint Readable = 0x1;
    private const uint Writable = 0x4;
    private const uint HungUp = 0x10;
    private const uint ReadHungUp = 0x2000;
    private const uint Edges = 1u << 31;
    private const int Interrupted = 4;

    // struct epoll_event is packed on x86-64 only.
    private static readonly int Stride = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;
    private static readonly int DataOffset = Stride - sizeof(ulong);

    private readonly SafeFileHandle _handle;
    private readonly byte[] _events;

    /// <param name="events">Most events that one wait returns.</param>
    public Epoll(int events = 64)
    {
        var descriptor = Create(CloseOnExec);
        if (descriptor < 0)
            throw Error("epoll_create1");
        _handle = new SafeFileHandle(descriptor, ownsHandle: true);
        _events = new byte[events * Stride];
    }

    /// <summary>Watches a socket for what arrives on it, under a number. Closing the socket ends it.</summary>
    public void Watch(Socket socket, int number) => Set(Add, socket, number, Readable);

    /// <summary>
    /// Reports a socket that is watched already once more, after the others, if something is to be read from it; after a
    /// read that may have left something this must be asked for.
    /// </summary>
    /// <param name="socket">The socket.</param>
    /// <param name="number">Its number.</param>
    /// <param name="writable">Also report when it can be written to.</param>
    public void Again(Socket socket, int number, bool writable) => Set(Modify, socket, number, writable ? Readable | Writable : Readable);

    /// <summary>Waits for events.</summary>
    /// <param name="ready">Filled with the sockets that something happened to.</param>
    /// <param name="milliseconds">Longest wait; -1: no limit.</param>
    /// <returns>How many.</returns>
    public int Wait(Span<Ready> ready, int milliseconds)
    {
        var count = Wait(_handle, _events, Math.Min(ready.Length, _events.Length / Stride), milliseconds);
        if (count < 0)
            return Marshal.GetLastPInvokeError() == Interrupted ? 0 : throw Error("epoll_wait");
        for (var index = 0; index < count; index++)
        {
            var record = _events.AsSpan(index * Stride);
            ready[index] = new Ready(
                (int)BinaryPrimitives.ReadInt64LittleEndian(record[DataOffset..]),
                (BinaryPrimitives.ReadUInt32LittleEndian(record) & (HungUp | ReadHungUp)) != 0);
        }

        return count;
    }

    public void Dispose() => _handle.Dispose();

    private void Set(int operation, Socket socket, int number, uint events)
    {
        Span<byte> record = stackalloc byte[Stride];
        record.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(record, events | ReadHungUp | Edges);
        BinaryPrimitives.WriteInt64LittleEndian(record[DataOffset..], number);
        if (Control(_handle, operation, socket.SafeHandle, record) < 0)
            throw Error("epoll_ctl");
    }

    private static IOException Error(string call) => new($"{call}: {Marshal.GetLastPInvokeErrorMessage()}", Marshal.GetLastPInvokeError());

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    private static partial int Create(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static partial int Control(SafeHandle epoll, int operation, SafeHandle socket, ReadOnlySpan<byte> record);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    private static partial int Wait(SafeHandle epoll, Span<byte> events, int count, int milliseconds);
}
