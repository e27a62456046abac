using System.Collections.Concurrent;
using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

/// <summary>A prefix cache in this process, private to each tenant; the real one has its own tests.</summary>
internal sealed class MemoryPrefixCache : IPrefixCache
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, byte[]> _blocks = [];

    /// <summary>Leases and reservations not given back.</summary>
    public int Open;

    public int Room { get; set; } = int.MaxValue;

    /// <summary>Makes what is read differ from what was stored, as after a restart of the sidecar.</summary>
    public bool Stale { get; set; }

    public Func<Task>? BeforeLookup { get; set; }

    public Func<Task>? BeforeReserve { get; set; }

    public int Count
    {
        get
        {
            lock (_gate)
                return _blocks.Count;
        }
    }

    public int BlockTokens { get; init; } = 4;

    /// <summary>Bytes of one block of the model that uses it.</summary>
    public int BlockBytes { get; init; } = 16;

    public List<(string Text, int[] TokenBytes)> Texts { get; } = [];

    /// <summary>For each lookup, whether its request had looked up before.</summary>
    public ConcurrentQueue<bool> Lookups { get; } = [];

    public async Task<IPrefixLease?> LookupAsync(Tenant tenant, ReadOnlyMemory<int> tokens, bool again, CancellationToken stop)
    {
        Lookups.Enqueue(again);
        if (BeforeLookup is { } wait)
            await wait();
        lock (_gate)
        {
            var found = new List<byte[]>();
            while ((found.Count + 1) * BlockTokens <= tokens.Length && _blocks.TryGetValue(Key(tenant, tokens[..((found.Count + 1) * BlockTokens)]), out var block))
                found.Add(block);
            if (found.Count == 0)
                return null;
            Interlocked.Increment(ref Open);
            return new Lease(this, found);
        }
    }

    public async Task<IBlockReservation?> ReserveAsync(Tenant tenant, int count, CancellationToken stop)
    {
        if (BeforeReserve is { } wait)
            await wait();
        lock (_gate)
        {
            var granted = Math.Min(count, Room - _blocks.Count);
            if (granted <= 0)
                return null;
            Interlocked.Increment(ref Open);
            return new Reservation(this, tenant, granted);
        }
    }

    private static string Key(Tenant tenant, ReadOnlyMemory<int> tokens) => tenant.Name + ":" + string.Join(',', tokens.ToArray());

    private sealed class Lease(MemoryPrefixCache cache, List<byte[]> found) : IPrefixLease
    {
        public int Blocks => found.Count;

        public bool StillValid => !cache.Stale;

        public ReadOnlySpan<byte> Read(int block) => cache.Stale ? Enumerable.Repeat((byte)1, found[block].Length).ToArray() : found[block];

        public void Dispose() => Interlocked.Decrement(ref cache.Open);
    }

    private sealed class Reservation(MemoryPrefixCache cache, Tenant tenant, int count) : IBlockReservation
    {
        private readonly byte[][] _written = new byte[count][];

        public int Blocks => count;

        public Span<byte> Write(int block) => _written[block] = new byte[cache.BlockBytes];

        public Task<bool> CommitAsync(ReadOnlyMemory<int> tokens, int firstBlock, ReadOnlyMemory<byte> text, ReadOnlyMemory<int> tokenBytes, CancellationToken stop)
        {
            lock (cache._gate)
            {
                Assert.Equal((firstBlock + count) * cache.BlockTokens, tokens.Length);
                Assert.Equal(tokens.Length, tokenBytes.Length);
                Assert.Equal(text.Length, tokenBytes.ToArray().Sum());
                cache.Texts.Add((System.Text.Encoding.UTF8.GetString(text.Span), tokenBytes.ToArray()));
                for (var i = 0; i < count; i++)
                    cache._blocks[Key(tenant, tokens[..((firstBlock + i + 1) * cache.BlockTokens)])] = _written[i];
            }

            return Task.FromResult(true);
        }

        public void Dispose() => Interlocked.Decrement(ref cache.Open);
    }
}
