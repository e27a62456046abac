using Moebius.KvCache.Index;
using Moebius.KvCache.Tests.Index;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>Evictions on request while blocks are copied: what a copy brings after the eviction goes again.</summary>
public sealed class EvictionTests
{
    private const int Alice = 1;
    private const int Bob = 2;

    [Fact]
    public async Task Is_noted_before_anything_is_dropped()
    {
        var noted = new List<bool>();
        await using var harness = new CopyHarness(onFreed: copies => noted.Add(copies.Writer.Evictions.Since(copies.Index.Root.Model, IndexHarness.Tenant(Alice), 0).HasFlag(Evicted.TenantOfModel)));
        harness.Index.Cache(Alice, "ab");
        noted.Clear();
        Assert.Equal(2, harness.Writer.Evict(harness.Index.Index, harness.Index.Root, IndexHarness.Tenant(Alice)).Blocks);
        Assert.Equal([true, true], noted);
    }

    [Fact]
    public async Task Takes_what_a_staging_brings_later_also_when_that_fails()
    {
        var eviction = new Eviction(IndexHarness.Tenant(Alice), copies => copies.HasReserved, "after the blocks have been published");
        await using var harness = new CopyHarness(eviction.Look);
        harness.Store(Alice, "ab", 2);
        await harness.StageAsync(harness.Job(Alice, "ab"));
        Assert.True(eviction.IsDone);
        Assert.Equal(0, harness.Cached);
    }

    [Fact]
    public async Task Takes_what_is_written_to_the_disk_later_also_when_that_fails()
    {
        var eviction = new Eviction(IndexHarness.Tenant(Alice), _ => true, "after the first block has been written");
        await using var harness = new CopyHarness(eviction.Look);
        harness.Index.Cache(Alice, "ab");
        await harness.WriteAsync(harness.Job(Alice, "ab"));
        Assert.True(eviction.IsDone);
        Assert.True(harness.IsDiskEmpty);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Of_all_takes_all_that_is_written_to_the_disk_and_kept_in_the_arena_for_it(bool isPublic)
    {
        var eviction = new Eviction(null, _ => true);
        await using var harness = new CopyHarness(eviction.Look);
        harness.Index.Cache(Alice, "ab", shareAs: isPublic ? SsdHarness.Declared : null);
        await harness.WriteAsync(harness.Job(Alice, "ab"));
        Assert.True(eviction.IsDone);
        Assert.True(harness.IsDiskEmpty);
        Assert.Equal(0, harness.Cached);
    }

    [Fact]
    public async Task Of_all_takes_what_a_staging_brings_later()
    {
        var eviction = new Eviction(null, copies => copies.HasReserved);
        await using var harness = new CopyHarness(eviction.Look);
        harness.Store(Bob, "ab", 2);
        await harness.StageAsync(harness.Job(Bob, "ab"));
        Assert.True(eviction.IsDone);
        Assert.Equal(0, harness.Cached);
    }

    [Fact]
    public async Task Takes_what_a_staging_finds_while_it_is_under_way()
    {
        await using var harness = new CopyHarness();
        harness.Store(Alice, "ab", 2);
        // The arena has been cleared, the disk not yet.
        using (harness.Writer.Evictions.Begin(harness.Index.Root.Model, IndexHarness.Tenant(Alice)))
            await harness.StageAsync(harness.Job(Alice, "ab"));
        Assert.Equal(0, harness.Cached);
        await harness.StageAsync(harness.Job(Alice, "ab"));
        Assert.Equal(2, harness.Cached);
    }

    [Fact]
    public async Task A_copy_that_began_before_it_may_yet_send_something_until_it_ends()
    {
        var seen = new List<(bool, bool)>();
        await using var harness = new CopyHarness(copies =>
        {
            Look();
            copies.Writer.Evict(copies.Index.Index, copies.Index.Root, IndexHarness.Tenant(Bob));
            Look();
            copies.Writer.Evict(copies.Index.Index, copies.Index.Root, IndexHarness.Tenant(Alice));
            Look();

            void Look() => seen.Add((copies.Writer.IsForgetting(IndexHarness.Tenant(Alice)), copies.Writer.IsForgetting(IndexHarness.Tenant(Bob))));
        });
        harness.Index.Cache(Alice, "a");
        await harness.WriteAsync(harness.Job(Alice, "a"));
        Assert.Equal([(false, false), (false, false), (true, false)], seen);
        Assert.False(harness.Writer.IsForgetting(IndexHarness.Tenant(Alice)));
    }

    [Fact]
    public async Task Of_another_model_takes_nothing_from_the_pod()
    {
        var other = new ModelKey("other", IndexHarness.BlockTokens, 1);
        await using var harness = new CopyHarness(copies =>
        {
            foreach (var tenant in (TenantKey?[])[IndexHarness.Tenant(Alice), null])
                copies.Writer.Evict(copies.Index.Index, copies.Index.Index.Root(other), tenant);
        });
        harness.Index.Cache(Alice, "ab");
        await harness.WriteAsync(harness.Job(Alice, "ab"));
        Assert.False(harness.IsDiskEmpty);
        Assert.Equal(2, harness.Cached);
    }

    [Fact]
    public void Is_seen_by_copies_that_had_begun_as_far_as_they_are_for_what_it_is_of()
    {
        var evictions = new Evictions();
        var (alice, bob) = (IndexHarness.Tenant(Alice), IndexHarness.Tenant(Bob));
        var (model, other) = (new ModelKey("model", 1, 1), new ModelKey("other", 1, 1));
        Assert.Equal(Evicted.None, evictions.Since(model, alice, evictions.Count));
        var first = evictions.Begin(model, alice);
        // A copy that begins before it has ended, in whatever order they end.
        Assert.Equal(0, evictions.Count);
        evictions.Begin(other, null).Dispose();
        Assert.Equal(0, evictions.Count);
        first.Dispose();
        Assert.Equal(2, evictions.Count);
        Assert.Equal(Evicted.Tenant | Evicted.TenantOfModel, evictions.Since(model, alice, 0));
        Assert.Equal(Evicted.Tenant | Evicted.Model, evictions.Since(other, alice, 0));
        Assert.Equal((Evicted.None, Evicted.Model), (evictions.Since(model, bob, 0), evictions.Since(other, bob, 0)));
        Assert.Equal(Evicted.None, evictions.Since(model, alice, evictions.Count));
        Assert.Equal((Evicted.Model, Evicted.None), (evictions.Since(other, alice, 1), evictions.Since(other, alice, 2)));
    }

    /// <summary>Evicts once, in the midst of a copy.</summary>
    /// <param name="tenant">Whose blocks; null for all.</param>
    /// <param name="when">Whether the copy has come far enough.</param>
    /// <param name="thenFails">With what the copy fails after that; null when it goes on.</param>
    private sealed class Eviction(TenantKey? tenant, Func<CopyHarness, bool> when, string? thenFails = null)
    {
        public bool IsDone { get; private set; }

        public void Look(CopyHarness copies)
        {
            if (IsDone && thenFails is not null)
                throw new IOException(thenFails);
            if (IsDone || !when(copies))
                return;
            copies.Writer.Evict(copies.Index.Index, copies.Index.Root, tenant);
            IsDone = true;
        }
    }
}
