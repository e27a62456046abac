using Moebius.KvCache.Tests.Index;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>What a copy that began before an eviction has in hand when that has been answered.</summary>
public sealed class CrossedEvictionTests
{
    private const int Alice = 1;
    private const int Bob = 2;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_staging_finds_nothing_that_a_copy_to_the_disk_writes_after_it(bool all)
    {
        var step = 0;
        var found = -1L;
        await using var copies = new CopyHarness(harness =>
        {
            switch (++step)
            {
                case 1:
                    // Before the first block is written.
                    harness.Writer.Evict(harness.Index.Index, harness.Index.Root, all ? null : IndexHarness.Tenant(Alice));
                    break;
                case 2:
                    // Before the second one: the first could be found.
                    step = 100;
                    if (harness.Stager.Begin(harness.Job(Alice, "ab"), harness.Index.Root.Keys(IndexHarness.Tokens("ab")), 0, endsPublic: true) is { } staging)
                        staging.Done.Wait();
                    found = harness.Index.Hits(Alice, "ab");
                    break;
            }
        });
        copies.Index.Cache(Alice, "ab");
        await copies.WriteAsync(copies.Job(Alice, "ab"));
        Assert.Equal(0, found);
        Assert.Equal(0, copies.Cached);
        Assert.True(copies.IsDiskEmpty);
    }

    [Fact]
    public async Task Of_all_leaves_nothing_to_be_found_that_a_copy_or_a_lease_pins()
    {
        var found = -1;
        await using var harness = new CopyHarness(copies =>
        {
            if (found >= 0)
                return;
            copies.Writer.Evict(copies.Index.Index, copies.Index.Root, null);
            found = copies.Index.Hits(Alice, "ab") + copies.Index.Hits(Bob, "cd");
        });
        harness.Index.Cache(Alice, "ab");
        harness.Index.Cache(Bob, "cd", shareAs: SsdHarness.Declared);
        var leased = harness.Index.Lookup(Bob, "cd");
        await harness.WriteAsync(harness.Job(Alice, "ab"));
        Assert.Equal(0, found);
        // A slot is not handed out again before its lease ends.
        Assert.All(leased.Slots, slot => Assert.Equal(slot, harness.Index.Slots.Reference(slot.Index)));
        leased.Lease.Release();
        Assert.Equal(harness.Index.Slots.Count, harness.Index.Slots.FreeCount);
    }

    [Fact]
    public async Task What_is_committed_after_it_stays_though_a_copy_that_began_before_it_ends_later()
    {
        var evicted = false;
        await using var harness = new CopyHarness(copies =>
        {
            if (evicted)
                return;
            evicted = true;
            copies.Writer.Evict(copies.Index.Index, copies.Index.Root, null);
            copies.Index.Cache(Bob, "cd");
        });
        harness.Index.Cache(Alice, "ab");
        await harness.WriteAsync(harness.Job(Alice, "ab"));
        Assert.Equal(2, harness.Index.Hits(Bob, "cd"));
        Assert.Equal(2, harness.Cached);
    }

    [Fact]
    public async Task What_is_no_longer_public_when_it_is_being_written_is_not_to_be_found_before_the_copy_ends()
    {
        var step = 0;
        var isFound = true;
        await using var harness = new CopyHarness(copies =>
        {
            switch (++step)
            {
                case 1:
                    copies.Writer.Withdraw([copies.Index.Root.Keys(IndexHarness.Tokens("ab"))[0]], null);
                    break;
                case 2:
                    isFound = !copies.IsDiskEmpty;
                    break;
            }
        });
        harness.Index.Cache(Alice, "ab", shareAs: SsdHarness.Declared);
        await harness.WriteAsync(harness.Job(Alice, "ab"));
        Assert.Equal((2, false), (Math.Min(step, 2), isFound));
    }
}
