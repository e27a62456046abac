extern alias sidecar;

using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
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
            var client = new Client(path, request);
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
        Span<int> ready = stackalloc int[256];
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
                var client = _clients[ready[index]];
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
        private readonly byte[] _output;
        private readonly byte[] _input = new byte[64 << 10];
        private readonly byte[] _lease = new byte[16];
        private bool _hasLease;
        private int _received;
        private long _sentAt;

        public Client(string path, LookupRequest request)
        {
            _session = Encoding.UTF8.GetBytes(request.Session);
            _tenant = Encoding.UTF8.GetBytes(request.Tenant);
            _tokens = [.. request.Tokens];
            _output = new byte[1024 + (5 * _tokens.Length)];
            Socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            Socket.Connect(new UnixDomainSocketEndPoint(path));
        }

        public Socket Socket { get; }

        /// <summary>Slots of the last answer.</summary>
        public List<int> Slots { get; } = [];

        public bool Waiting { get; private set; }

        public long NextAt { get; set; }

        public void Send()
        {
            _sentAt = Stopwatch.GetTimestamp();
            var at = 0;
            if (_hasLease)
                WriteRelease(ref at);
            var start = at;
            at += HotMessages.HeaderBytes;
            Write(ref at, (1 << 3) | 2, _session);
            Write(ref at, (2 << 3) | 2, _tenant);
            _output[at++] = (4 << 3) | 2;
            var packed = 0;
            foreach (var token in _tokens)
                packed += token < 1 << 7 ? 1 : token < 1 << 14 ? 2 : token < 1 << 21 ? 3 : token < 1 << 28 ? 4 : 5;
            Varint(ref at, (uint)packed);
            foreach (var token in _tokens)
                Varint(ref at, token);
            Header(start, at, HotMessages.Lookup);
            Socket.Send(_output.AsSpan(0, at));
            (Waiting, _hasLease, _received) = (true, false, 0);
        }

        /// <summary>The time of a lookup whose answer is complete; null while it is not.</summary>
        public double? TryReceive(int blocks)
        {
            _received += Socket.Receive(_input.AsSpan(_received));
            if (_received < HotMessages.HeaderBytes || _received < BinaryPrimitives.ReadInt32LittleEndian(_input) + sizeof(int))
                return null;
            var (found, sum) = (0, 0UL);
            Slots.Clear();
            for (var at = HotMessages.HeaderBytes; at < _received;)
            {
                var tag = _input[at++];
                var length = _input[at++];
                if (tag == ((1 << 3) | 2))
                {
                    _input.AsSpan(at, length).CopyTo(_lease);
                }
                else
                {
                    found++;
                    // Slot 0 leaves its index out.
                    var slot = 0;
                    for (var field = at; field < at + length;)
                    {
                        var isIndex = _input[field++] == 1 << 3;
                        ulong value = 0;
                        var shift = 0;
                        do
                        {
                            value |= (ulong)(_input[field] & 0x7F) << shift;
                            shift += 7;
                        }
                        while (_input[field++] >= 0x80);
                        sum += value;
                        slot = isIndex ? (int)value : slot;
                    }

                    Slots.Add(slot);
                }

                at += length;
            }

            var taken = Stopwatch.GetElapsedTime(_sentAt).TotalMicroseconds;
            if (_input[4] != HotMessages.Lookup || found != blocks || sum == 0)
                throw new InvalidOperationException($"{found} blocks were found instead of {blocks}");
            (Waiting, _hasLease) = (false, true);
            return taken;
        }

        public void Release()
        {
            if (!_hasLease)
                return;
            var at = 0;
            WriteRelease(ref at);
            Socket.Send(_output.AsSpan(0, at));
            _hasLease = false;
        }

        private void WriteRelease(ref int at)
        {
            var start = at;
            at += HotMessages.HeaderBytes;
            Write(ref at, (1 << 3) | 2, _session);
            Write(ref at, (2 << 3) | 2, _lease);
            Header(start, at, HotMessages.Release);
        }

        private void Write(ref int at, byte tag, byte[] bytes)
        {
            _output[at++] = tag;
            _output[at++] = (byte)bytes.Length;
            bytes.CopyTo(_output, at);
            at += bytes.Length;
        }

        private void Varint(ref int at, uint value)
        {
            for (; value >= 0x80; value >>= 7)
                _output[at++] = (byte)(value | 0x80);
            _output[at++] = (byte)value;
        }

        private void Header(int start, int end, byte kind)
        {
            BinaryPrimitives.WriteInt32LittleEndian(_output.AsSpan(start), end - start - sizeof(int));
            _output[start + 4] = kind;
            BinaryPrimitives.WriteInt32LittleEndian(_output.AsSpan(start + 5), 1);
        }
    }
}
