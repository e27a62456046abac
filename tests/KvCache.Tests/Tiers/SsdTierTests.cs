using System.Text;
using Microsoft.Extensions.Time.Testing;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

[Trait("Category", "Component")]
public sealed class SsdTierTests
{
    [Fact]
    public void Blocks_come_back_after_a_restart_each_with_its_tenants_key_only()
    {
        using var ssd = new SsdHarness();
        var (shared, own) = (SsdHarness.Block("a"), SsdHarness.Block("b", "alice"));
        Assert.True(ssd.Write(shared));
        Assert.True(ssd.Write(own, "alice"));
        ssd.Restart();

        Assert.True(ssd.Reads(shared));
        Assert.True(ssd.Reads(own, "alice"));
        Assert.Equal(SsdHarness.Declared, ssd.Tier.TryFind(shared.Id, out var entry) ? entry.Block.Reason : null);
        // Even who knows the name cannot open it; the attempt costs the block.
        Assert.False(ssd.Reads(own, "bob"));
        Assert.False(ssd.Reads(own, "alice"));
    }

    [Fact]
    public void Private_bytes_are_not_on_the_disk()
    {
        using var ssd = new SsdHarness();
        var (shared, own) = (SsdHarness.Block("a"), SsdHarness.Block("b", "alice"));
        ssd.Write(shared);
        ssd.Write(own, "alice");
        var disk = Directory.GetFiles(ssd.Folder).SelectMany(File.ReadAllBytes).ToArray();
        Assert.True(disk.AsSpan().IndexOf(SsdHarness.Body(shared).AsSpan(0, 32)) >= 0);
        Assert.Equal(-1, disk.AsSpan().IndexOf(SsdHarness.Body(own).AsSpan(0, 32)));
        Assert.Equal(-1, disk.AsSpan().IndexOf(Encoding.UTF8.GetBytes("alice")));
    }

    [Fact]
    public void Another_secret_finds_the_public_blocks_only()
    {
        using var ssd = new SsdHarness();
        var (shared, own) = (SsdHarness.Block("a"), SsdHarness.Block("b", "alice"));
        ssd.Write(shared);
        ssd.Write(own, "alice");
        ssd.Tier.Dispose();
        using var other = ssd.Open(keyCheck: 1);
        Assert.True(other.Contains(shared.Id));
        Assert.False(other.Contains(own.Id));
    }

    [Fact]
    public void A_private_block_without_a_key_is_a_mistake_of_the_caller()
    {
        using var ssd = new SsdHarness();
        var own = SsdHarness.Block("b", "alice");
        Assert.Throws<ArgumentException>(() => ssd.Write(own));
        Assert.False(ssd.Tier.Contains(own.Id));
    }

    [Fact]
    public void What_was_dropped_stays_away_after_a_restart()
    {
        using var ssd = new SsdHarness();
        var blocks = Enumerable.Range(0, 6).Select(number => SsdHarness.Block($"{number}", number % 2 == 0 ? "alice" : null)).ToArray();
        for (var number = 0; number < blocks.Length; number++)
            Assert.True(ssd.Write(blocks[number], number % 2 == 0 ? "alice" : null));
        Assert.Equal(3, ssd.Tier.Drop(static entry => entry.Block.Owner == SsdHarness.Owner("alice")).Blocks);
        SsdHarness.Erase(ssd.Tier.Drop([]));
        ssd.Restart();
        Assert.Equal([false, true, false, true, false, true], blocks.Select(block => ssd.Tier.Contains(block.Id)));
    }

    [Theory]
    [InlineData(0, 1, 2)]
    [InlineData(2, 0, 1)]
    [InlineData(1, 2, 0)]
    public void A_tenant_beyond_its_quota_gives_up_its_own_blocks_deepest_first(params int[] order)
    {
        // All at one time: among those that have been in use as lately, the depth decides.
        using var ssd = new SsdHarness(time: new FakeTimeProvider(DateTimeOffset.UtcNow));
        var other = SsdHarness.Block("other", "bob");
        ssd.Write(other, "bob");
        var blocks = Enumerable.Range(0, 4).Select(depth => SsdHarness.Block($"{depth}", "alice", depth)).ToArray();
        foreach (var block in order.Select(depth => blocks[depth]))
            Assert.True(ssd.Write(block, "alice", quota: 3 * DirectFile.Alignment));
        // In use again, all of them: what follows the others goes.
        foreach (var block in order.Select(depth => blocks[depth]))
            ssd.Tier.TryFind(block.Id, out _);
        Assert.True(ssd.Write(blocks[3], "alice", quota: 3 * DirectFile.Alignment));
        Assert.Equal([true, true, false, true], blocks.Select(block => ssd.Tier.Contains(block.Id)));
        Assert.True(ssd.Tier.Contains(other.Id));
        Assert.False(ssd.Write(SsdHarness.Block("z", "alice"), "alice", quota: 10));
    }

    [Fact]
    public void What_no_quota_has_room_for_takes_nothing_from_its_tenant()
    {
        using var ssd = new SsdHarness();
        var blocks = Enumerable.Range(0, 3).Select(depth => SsdHarness.Block($"{depth}", "alice", depth)).ToArray();
        foreach (var block in blocks)
            Assert.True(ssd.Write(block, "alice"));
        Assert.False(ssd.Write(SsdHarness.Block("large", "alice"), "alice", length: 4 * DirectFile.Alignment, quota: 3 * DirectFile.Alignment));
        Assert.All(blocks, block => Assert.True(ssd.Tier.Contains(block.Id)));
    }

    [Fact]
    public void The_files_stay_within_the_budget_and_what_is_used_survives()
    {
        const long budget = 64 * DirectFile.Alignment;
        using var ssd = new SsdHarness(budget);
        var kept = SsdHarness.Block("kept");
        ssd.Write(kept);
        for (var number = 0; number < 500; number++)
        {
            Assert.True(ssd.Write(SsdHarness.Block($"{number}")));
            Assert.True(ssd.Reads(kept), $"lost after {number} others");
            Assert.True(Directory.GetFiles(ssd.Folder, "*.data").Sum(file => new FileInfo(file).Length) <= budget);
        }

        Assert.Equal(0, ssd.Tier.Statistics().Damaged);
        ssd.Restart();
        Assert.True(ssd.Reads(kept));
    }

    [Fact]
    public void A_smaller_budget_at_the_next_start_is_kept()
    {
        using var ssd = new SsdHarness(64 * DirectFile.Alignment);
        for (var number = 0; number < 40; number++)
            ssd.Write(SsdHarness.Block($"{number}"));
        ssd.Tier.Dispose();
        using var smaller = SsdTier.Open(ssd.Folder, 16 * DirectFile.Alignment, SsdHarness.Master.Check, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        Assert.True(Directory.GetFiles(ssd.Folder, "*.data").Sum(file => new FileInfo(file).Length) <= 16 * DirectFile.Alignment);
        Assert.True(smaller.Contains(SsdHarness.Block("39").Id));
    }

    [Fact]
    public void A_full_disk_stops_admission_says_so_and_does_not_stop_reading()
    {
        var mount = Directory.CreateTempSubdirectory("kvtmpfs-").FullName;
        try
        {
            using var disk = SmallDisk.TryMount(mount, 256 << 10);
            Assert.SkipWhen(disk is null, "mount -t tmpfs is not allowed here");
            // A budget that the disk does not have.
            using var ssd = new SsdHarness(1 << 20, Path.Combine(mount, "tier"));
            var written = Enumerable.Range(0, 200).Select(number => SsdHarness.Block($"{number}")).TakeWhile(block => ssd.Write(block)).ToArray();
            Assert.InRange(written.Length, 1, 64);
            var statistics = ssd.Tier.Statistics();
            Assert.False(statistics.Admits);
            Assert.Contains("No space left", statistics.State, StringComparison.Ordinal);
            Assert.All(written, block => Assert.True(ssd.Reads(block)));
            ssd.Restart();
            Assert.All(written, block => Assert.True(ssd.Reads(block)));
        }
        finally
        {
            Directory.Delete(mount, recursive: true);
        }
    }

    [Fact]
    public void A_folder_that_cannot_be_used_is_named()
    {
        var file = Path.GetTempFileName();
        var error = Assert.Throws<Crds.UserInputException>(() => SsdTier.Open(Path.Combine(file, "x"), 1 << 20, 0, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance));
        Assert.StartsWith($"--ssd: cannot use folder '{file}/x'", error.Message, StringComparison.Ordinal);
        File.Delete(file);
    }
}
