using System.Buffers.Binary;
using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>
/// An arena, a disk, a tier between pods if there is one, and what copies between them, which can be stopped wherever it asks for the
/// policy. Each committed block has a number of its own for bytes, so that it is known again wherever it comes by, and the world
/// knows which of them an eviction has ended.
/// </summary>
internal sealed class EvictionWorld : IDisposable
{
    public static readonly IReadOnlyList<string> Texts = [.. from length in Enumerable.Range(1, 2) from text in Words(length) select text];

    private const int BlockTokens = 2;
    private const int BlockBytes = sizeof(long);
    private const int Arena = 1 << 18;
    private static readonly CompiledPolicy InForce = PolicyCompiler.Default with { Mode = SharingMode.Share, SharePrivate = true };

    private readonly SsdHarness _disk = new();
    private readonly ArenaFile _arena;
    private readonly Layout _layout;
    private readonly IndexRoot _root;
    private readonly TierWriter _writer;
    private readonly Stager _stager;
    private readonly SharedTier? _shared;
    private readonly int _driver = Environment.CurrentManagedThreadId;
    private readonly SemaphoreSlim _steps = new(0);
    private readonly ConcurrentDictionary<long, Block> _blocks = [];
    private volatile bool _stepwise;
    private int _standing;

    /// <param name="shared">The server between pods; null: there is none.</param>
    public EvictionWorld(string? shared = null)
    {
        _arena = ArenaFile.Create(Path.Combine(_disk.Folder, "..", $"{Path.GetFileName(_disk.Folder)}.arena"), Arena);
        var geometry = ArenaGeometry.For(Arena, BlockBytes)!;
        var slots = new SlotTable(geometry.SlotCount, static (_, _) => { });
        var now = 0L;
        _layout = new Layout(geometry, 1, slots, new PrefixIndex(slots, () => Interlocked.Increment(ref now)));
        _root = _layout.Index.Root(new ModelKey("model", BlockTokens, BlockBytes));
        var context = new TierContext(_arena, Policy, _ => true, _ => { }, SsdHarness.Master);
        var metrics = new TierMetrics(Prometheus.Metrics.NewCustomRegistry());
        _shared = shared is null ? null : SharedTier.Open(
            new SharedTierOptions { Address = shared, Timeout = TimeSpan.FromMinutes(1) }, metrics, TimeProvider.System, NullLogger.Instance);
        Wait(() => _shared?.IsAvailable != false);
        _writer = new TierWriter(context, _disk.Tier, _shared, metrics, new Hasty(), NullLogger.Instance);
        _stager = new Stager(context, _disk.Tier, _shared, _writer, metrics, NullLogger.Instance);
    }

    /// <summary>Copies go on only by so many steps; null: freely.</summary>
    public int? Steps
    {
        set
        {
            _stepwise = value is not null;
            if (value is not 0)
                _steps.Release(value ?? 1000);
        }
    }

    public void Commit(int tenant, string text, bool isPublic)
    {
        var (key, keys, tokens) = (Tenant(tenant), _root.Keys(Tokens(text)), Tokens(text));
        var found = Find(key, keys);
        found.Lease.Release();
        var slots = _layout.Index.Reserve(key, keys.Length - found.Blocks, int.MaxValue);
        for (var index = 0; index < slots.Length; index++)
        {
            var number = _blocks.Count + 1L;
            _blocks[number] = new Block(tenant, text[..(found.Blocks + index + 1)], isPublic && found.EndsPublic);
            BinaryPrimitives.WriteInt64LittleEndian(Bytes(slots[index].Index), number);
        }

        if (slots.Length > 0)
        {
            _layout.Index.Insert(
                _root, key, tokens.AsSpan(0, (found.Blocks + slots.Length) * BlockTokens), found.Blocks, [.. slots.Select(static slot => slot.Index)], int.MaxValue, View.Shared,
                isPublic ? PublicReason.SharedByMode : null, key);
        }
    }

    /// <summary>Begins to bring back what continues what a tenant finds.</summary>
    public void Stage(int tenant, string text)
    {
        var keys = _root.Keys(Tokens(text));
        var found = Find(Tenant(tenant), keys);
        found.Lease.Release();
        _stager.Begin(Job(tenant, text), keys, found.Blocks, found.EndsPublic);
    }

    public void Copy(int tenant, string text) => _writer.Add(Job(tenant, text));

    public void Drop() => _layout.Index.DropIdle(long.MaxValue, long.MaxValue);

    /// <summary>A null tenant: of all.</summary>
    public void Evict(int? tenant)
    {
        var there = _blocks.Values.Where(block => tenant is null || (block.Tenant == tenant && !block.IsPublic)).ToArray();
        _writer.Evict(_layout.Index, _root, tenant is { } one ? Tenant(one) : null);
        foreach (var block in there)
            block.HasEnded = true;
    }

    /// <summary>Gives copies the time to come to where they stop. What they do meanwhile is right in any order.</summary>
    public void Rest() => SpinWait.SpinUntil(() => Volatile.Read(ref _standing) >= Math.Min(1, _writer.Waiting) + _stager.Running, TimeSpan.FromMilliseconds(2));

    /// <summary>All copies come to their end, and what is to be taken from the server is.</summary>
    public void Settle()
    {
        Steps = null;
        Wait(() => _writer.Waiting == 0 && _stager.Running == 0);
        Wait(() => _shared is null || Enumerable.Range(0, 8).All(tenant => !_shared.IsForgetting(Tenant(tenant))));
    }

    /// <summary>Whatever a tenant finds in the arena or on the disk is its own or public, of its text, and not evicted.</summary>
    public void Check(int tenant)
    {
        using var buffer = new AlignedBuffer();
        var target = new byte[BlockBytes];
        foreach (var text in Texts)
        {
            var keys = _root.Keys(Tokens(text));
            var found = Find(Tenant(tenant), keys);
            for (var block = 0; block < found.Blocks; block++)
                Check("arena", Bytes(found.Slots[block].Index), tenant, text[..(block + 1)]);
            found.Lease.Release();

            var chain = BlockChain.Of(_root.Model, Tokens(text), SsdHarness.Master);
            foreach (var (name, secret) in ((BlockId, TenantSecret?)[])[(chain.Public(text.Length - 1), null), (chain.Private(text.Length - 1, Secret(tenant)), Secret(tenant))])
            {
                if (_disk.Tier.TryFind(name, out var entry) && _disk.Tier.TryRead(entry, secret, buffer, target))
                    Check("disk", target, tenant, text);
            }
        }
    }

    /// <summary>A tenant's private blocks in the server are not evicted.</summary>
    /// <param name="tenant">Whose.</param>
    /// <param name="valueOf">What the server has under a key; null: nothing.</param>
    public void CheckServer(int tenant, Func<string, byte[]?> valueOf)
    {
        var target = new byte[BlockBytes];
        foreach (var text in Texts)
        {
            var chain = BlockChain.Of(_root.Model, Tokens(text), SsdHarness.Master);
            var key = SharedTier.KeyOf(new TierBlock(chain.Private(text.Length - 1, Secret(tenant)), chain.Model, Tenant(tenant), null, 0));
            if (valueOf(key) is not { } value)
                continue;
            Assert.True(SegmentRecord.Decode(value)!.TryRestore(value.AsSpan(SegmentRecord.Size), Secret(tenant), target));
            Check("server", target, tenant, text);
        }
    }

    public void Dispose()
    {
        Steps = null;
        _writer.DisposeAsync().AsTask().Wait();
        Wait(() => _stager.Running == 0);
        _shared?.DisposeAsync().AsTask().Wait();
        _arena.Dispose();
        File.Delete(_arena.Path);
        _disk.Dispose();
        _steps.Dispose();
    }

    private static IEnumerable<string> Words(int length) => length == 0 ? [""] : from start in Words(length - 1) from letter in "ab" select start + letter;

    private static TenantKey Tenant(int tenant) => new((ulong)tenant + 1, 0);

    private static TenantSecret Secret(int tenant) => SsdHarness.Master.Tenant($"tenant {tenant}");

    private static uint[] Tokens(string text) => [.. text.SelectMany(letter => new uint[] { letter, 7 })];

    private static void Wait(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, Eventually.Limit));

    private CompiledPolicy Policy()
    {
        if (_stepwise && Environment.CurrentManagedThreadId != _driver)
        {
            Interlocked.Increment(ref _standing);
            _steps.Wait();
            Interlocked.Decrement(ref _standing);
        }

        return InForce;
    }

    private TierJob Job(int tenant, string text) => new(_layout, _root, Tenant(tenant), Secret(tenant), Tokens(text), View.Shared);

    private (int Blocks, SlotRef[] Slots, IndexLease Lease, bool EndsPublic) Find(TenantKey tenant, BlockKey[] keys)
    {
        var slots = new SlotRef[keys.Length];
        var found = _layout.Index.Lookup(_root, tenant, keys, View.Shared, slots);
        return (found.Blocks, slots, found.Lease, found.EndsPublic);
    }

    private Span<byte> Bytes(int slot) => _arena.Slot(_layout.Geometry, slot, BlockBytes);

    private void Check(string where, ReadOnlySpan<byte> bytes, int tenant, string text)
    {
        var block = _blocks[BinaryPrimitives.ReadInt64LittleEndian(bytes)];
        Assert.Equal(text, block.Prefix);
        Assert.True(block.IsPublic || block.Tenant == tenant, $"{where}: tenant {tenant} finds {block.Prefix} of {block.Tenant}");
        Assert.False(block.HasEnded, $"{where}: tenant {tenant} finds {block.Prefix} of {block.Tenant}, which was evicted");
    }

    private sealed record Block(int Tenant, string Prefix, bool IsPublic)
    {
        public bool HasEnded { get; set; }
    }

    /// <summary>What is to be done some time later is due at once.</summary>
    private sealed class Hasty : TimeProvider
    {
        private long _now;

        public override long GetTimestamp() => Interlocked.Add(ref _now, TimestampFrequency);
    }
}
