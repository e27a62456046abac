using Microsoft.Extensions.Logging.Abstractions;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;
using Moebius.KvCache.Tests.Index;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>An arena of a few blocks of one byte, a disk, and what copies between them.</summary>
internal sealed class CopyHarness : IAsyncDisposable
{
    private const int Slots = 4;

    private readonly SsdHarness _disk = new();
    private readonly ArenaFile _arena;

    /// <param name="onPolicy">Called whenever a copy asks for the policy in force: before it writes a block, before and after it publishes blocks.</param>
    /// <param name="onFreed">Called when a slot is freed.</param>
    /// <param name="time">The clock of copies out of the arena.</param>
    public CopyHarness(Action<CopyHarness>? onPolicy = null, Action<CopyHarness>? onFreed = null, TimeProvider? time = null)
    {
        var geometry = ArenaGeometry.For(1 << 16, 1)!;
        _arena = ArenaFile.Create(Path.Combine(_disk.Folder, "..", $"{Path.GetFileName(_disk.Folder)}.arena"), 1 << 16);
        Index = new IndexHarness(Slots, freed: () => onFreed?.Invoke(this));
        Layout = new Layout(geometry, 1, Index.Slots, Index.Index);
        var context = new TierContext(_arena, Policy, _ => true, _ => { }, SsdHarness.Master);
        var metrics = new TierMetrics(Prometheus.Metrics.NewCustomRegistry());
        Writer = new TierWriter(context, _disk.Tier, null, metrics, time ?? TimeProvider.System, NullLogger.Instance);
        Stager = new Stager(context, _disk.Tier, null, Writer, metrics, NullLogger.Instance);

        CompiledPolicy Policy()
        {
            onPolicy?.Invoke(this);
            return PolicyCompiler.Default;
        }
    }

    public IndexHarness Index { get; }

    public Layout Layout { get; }

    public TierWriter Writer { get; }

    public Stager Stager { get; }

    /// <summary>Blocks in the arena.</summary>
    public long Cached => Index.Blocks();

    /// <summary>Whether the disk has nothing.</summary>
    public bool IsDiskEmpty => _disk.Tier.IsEmpty;

    /// <summary>Slots are reserved or in the index.</summary>
    public bool HasReserved => Index.Slots.FreeCount < Slots;

    public TierJob Job(int tenant, string text, View view = View.Shared) =>
        new(Layout, Index.Root, IndexHarness.Tenant(tenant), Secret(tenant), IndexHarness.Tokens(text), view);

    /// <summary>Puts a tenant's private blocks on the disk, as an earlier process did.</summary>
    public void Store(int tenant, string text, int blocks)
    {
        var chain = BlockChain.Of(Index.Root.Model, IndexHarness.Tokens(text), SsdHarness.Master);
        for (var block = 0; block < blocks; block++)
            Assert.True(_disk.Tier.TryWrite(new TierBlock(chain.Private(block, Secret(tenant)), chain.Model, IndexHarness.Tenant(tenant), null, block), [7], Secret(tenant), long.MaxValue));
    }

    /// <summary>Copies a prompt's blocks out of the arena.</summary>
    public async Task WriteAsync(TierJob job)
    {
        Writer.Add(job);
        await Eventually.TrueAsync(() => Writer.Waiting == 0);
    }

    /// <summary>Brings a prompt's blocks back into the arena.</summary>
    public async Task StageAsync(TierJob job)
    {
        var staging = Stager.Begin(job, Index.Root.Keys(job.Tokens), 0, endsPublic: true);
        Assert.NotNull(staging);
        await Eventually.EndsAsync(staging.Done);
    }

    public async ValueTask DisposeAsync()
    {
        await Writer.DisposeAsync();
        _arena.Dispose();
        File.Delete(_arena.Path);
        _disk.Dispose();
    }

    private static TenantSecret Secret(int tenant) => SsdHarness.Master.Tenant($"tenant {tenant}");
}
