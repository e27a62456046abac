extern alias sidecar;

using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Moebius.KvCache.Hot;
using sidecar::Moebius.Kvcache.V1;

namespace Moebius.Bench.KvCache;

/// <summary>
/// Clients of the hot socket, all on one thread. A lookup's time runs from before its request is encoded until its last
/// slot is decoded; the lease is released with the next request, or at the end.
/// </summary>
internal sealed class HotDriver : IDisposable
{
    private readonly Epoll _epoll = new(256);
    private readonly List<Client> _clients = [];

    public HotDriver(string path, IEnumerable<LookupRequest> requests)
    {
        foreach (var request in requests)
        {
            var client = new Client(path, request, _clients.Count > 0 ? _clients[0] : null);
            _clients.Add(client);
            _epoll.Watch(client.Socket, _clients.Count - 1);
        }
    }

    /// <summary>Sorted times in microseconds of the lookups of the first clients.</summary>
    public double[] Run(int clients, TimeSpan length, TimeSpan pause, int blocks)
    {
        var times = new List<double>();
        var begun = Stopwatch.GetTimestamp();
        var end = begun + (long)(length.TotalSeconds * Stopwatch.Frequency);
        var pauseTicks = (long)(pause.TotalSeconds * Stopwatch.Frequency);
        for (var client = 0; client < clients; client++)
            _clients[client].NextAt = begun + (pauseTicks * client / clients);
        Span<Ready> ready = stackalloc Ready[256];
        while (true)
        {
            var now = Stopwatch.GetTimestamp();
            var (nextAt, waiting) = (long.MaxValue, 0);
            for (var number = 0; number < clients; number++)
            {
                var client = _clients[number];
                if (!client.Waiting && client.NextAt <= now && now < end)
                    client.Send();
                waiting += client.Waiting ? 1 : 0;
                nextAt = client.Waiting ? nextAt : Math.Min(nextAt, client.NextAt);
            }

            if (waiting == 0 && now >= end)
                break;
            var patience = nextAt == long.MaxValue || now >= end ? -1 : (int)Math.Max(0, (nextAt - now) * 1000 / Stopwatch.Frequency);
            var count = _epoll.Wait(ready, patience);
            for (var index = 0; index < count; index++)
            {
                var client = _clients[ready[index].Number];
                if (client.TryReceive(blocks) is not { } taken)
                    continue;
                times.Add(taken);
                client.NextAt = Stopwatch.GetTimestamp() + pauseTicks;
                // A closed loop goes on at once, before the other answers are looked at.
                if (pauseTicks == 0 && client.NextAt < end)
                    client.Send();
            }
        }

        foreach (var client in _clients.Take(clients))
            client.Release();
        return [.. times.Order()];
    }

    public void Dispose()
    {
        foreach (var client in _clients)
            client.Socket.Dispose();
        _epoll.Dispose();
    }

    /// <summary>One connection.</summary>
    internal sealed class Client
    {
        private readonly byte[] _session;
        private readonly byte[] _tenant;
        private readonly uint[] _tokens;
        // What is sent is made in the same memory for all clients of a thread, as one engine would.
        [ThreadStatic]
        private static byte[]? _sharedOutput;

        private readonly byte[] _input = new byte[16 << 10];
        private readonly int _outputBytes;
        private readonly int _releaseBytes;
        private ulong _lease;
        private bool _hasLease;
        private int _received;
        private long _sentAt;

        public Client(string path, LookupRequest request, Client? first = null)
        {
            _session = Encoding.UTF8.GetBytes(request.Session);
            _tenant = Encoding.UTF8.GetBytes(request.Tenant);
            // The same prompt lies in memory once, as one that an engine has just made tokens of.
            _tokens = first is not null && first._tokens.AsSpan().SequenceEqual([.. request.Tokens]) ? first._tokens : [.. request.Tokens];
            // The frame that ends the last answer's lease, then the next lookup's.
            _releaseBytes = HotMessages.HeaderBytes + sizeof(ulong) + _session.Length;
            _outputBytes = _releaseBytes + HotMessages.HeaderBytes + 8 + _session.Length + _tenant.Length + (sizeof(uint) * _tokens.Length);
            Slots = new int[_tokens.Length];
            Socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            Socket.Connect(new UnixDomainSocketEndPoint(path));
        }

        public Socket Socket { get; }

        /// <summary>Slots of the last answer.</summary>
        public int[] Slots { get; }

        public bool Waiting { get; private set; }

        public long NextAt { get; set; }

        public void Send()
        {
            _sentAt = Stopwatch.GetTimestamp();
            var output = Output();
            if (_hasLease)
                WriteRelease(output);
            var frame = output[_releaseBytes..];
            HotMessages.WriteHeader(frame, frame.Length - HotMessages.HeaderBytes, HotMessages.Lookup, 1);
            var body = frame[HotMessages.HeaderBytes..];
            BinaryPrimitives.WriteUInt32LittleEndian(body, 0);
            body[4] = 0;
            body[5] = (byte)_session.Length;
            BinaryPrimitives.WriteUInt16LittleEndian(body[6..], (ushort)_tenant.Length);
            _session.CopyTo(body[8..]);
            _tenant.CopyTo(body[(8 + _session.Length)..]);
            MemoryMarshal.AsBytes<uint>(_tokens).CopyTo(body[(8 + _session.Length + _tenant.Length)..]);
            Socket.Send(_hasLease ? output : frame);
            (Waiting, _hasLease, _received) = (true, false, 0);
        }

        /// <summary>The time of a lookup whose answer is complete; null while it is not.</summary>
        public double? TryReceive(int blocks)
        {
            _received += Socket.Receive(_input.AsSpan(_received));
            if (_received < HotMessages.HeaderBytes || _received < BinaryPrimitives.ReadInt32LittleEndian(_input) + sizeof(int))
                return null;
            var body = _input.AsSpan(HotMessages.HeaderBytes, _received - HotMessages.HeaderBytes);
            // The lease is ended with the next call.
            _lease = BinaryPrimitives.ReadUInt64LittleEndian(body);
            var found = 0;
            var generations = 0UL;
            for (var slots = body[HotMessages.AnswerHeadBytes..]; slots.Length > 0; slots = slots[HotMessages.SlotBytes..])
            {
                Slots[found++] = BinaryPrimitives.ReadInt32LittleEndian(slots);
                generations += BinaryPrimitives.ReadUInt64LittleEndian(slots[4..]);
            }

            var taken = Stopwatch.GetElapsedTime(_sentAt).TotalMicroseconds;
            if (_input[4] != HotMessages.Lookup || found != blocks || generations == 0)
                throw new InvalidOperationException($"{found} blocks were found instead of {blocks}");
            (Waiting, _hasLease) = (false, true);
            return taken;
        }

        public void Release()
        {
            var output = Output();
            if (_hasLease)
                Socket.Send(WriteRelease(output));
            _hasLease = false;
        }

        private Span<byte> Output()
        {
            if (_sharedOutput is null || _sharedOutput.Length < _outputBytes)
                _sharedOutput = new byte[_outputBytes];
            return _sharedOutput.AsSpan(0, _outputBytes);
        }

        private Span<byte> WriteRelease(Span<byte> output)
        {
            HotMessages.WriteHeader(output, _releaseBytes - HotMessages.HeaderBytes, HotMessages.Release, 0);
            BinaryPrimitives.WriteUInt64LittleEndian(output[HotMessages.HeaderBytes..], _lease);
            _session.CopyTo(output[(HotMessages.HeaderBytes + sizeof(ulong))..]);
            return output[.._releaseBytes];
        }
    }
}
