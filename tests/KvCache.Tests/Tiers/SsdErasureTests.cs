using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>What was dropped stays away after a kill, whatever the disk does; or whoever dropped it is told that it may not.</summary>
[Trait("Category", "Component")]
public sealed class SsdErasureTests
{
    private const string Alice = "alice";

    [Theory]
    [InlineData(DiskCall.Write)]
    [InlineData(DiskCall.Flush)]
    internal async Task What_cannot_be_erased_goes_with_its_segment(DiskCall failing)
    {
        var disk = new FaultyDisk();
        using var ssd = new SsdHarness(disk: disk);
        var block = SsdHarness.Block("a", Alice);
        Assert.True(ssd.Write(block, Alice));
        disk.Fails = (call, path) => call == failing && path.EndsWith(".directory", StringComparison.Ordinal);
        Assert.Null(await DropAsync(ssd));
        Assert.Empty(Directory.GetFiles(ssd.Folder));
        disk.Heal();
        ssd.Restart();
        Assert.False(ssd.Tier.Contains(block.Id));
        Assert.True(ssd.Write(block, Alice));
    }

    [Fact]
    public async Task What_cannot_be_removed_either_is_said_stops_admission_and_is_tried_again()
    {
        var disk = new FaultyDisk();
        using var ssd = new SsdHarness(disk: disk);
        var (block, other) = (SsdHarness.Block("a", Alice), SsdHarness.Block("b"));
        Assert.True(ssd.Write(block, Alice));
        disk.Fails = static (_, _) => true;
        var told = await DropAsync(ssd);
        Assert.StartsWith($"the disk tier in '{ssd.Folder}' did not erase it: ", told, StringComparison.Ordinal);
        Assert.EndsWith("Input/output error", told, StringComparison.Ordinal);
        Assert.False(ssd.Tier.Contains(block.Id));
        Assert.Equal(told, await DropAsync(ssd));
        Assert.False(ssd.Tier.Statistics().Admits);
        Assert.StartsWith("what was dropped is not erased yet: ", ssd.Tier.Statistics().State, StringComparison.Ordinal);

        disk.Heal();
        Assert.False(ssd.Write(other));
        ssd.Tier.RetryErasing();
        await Eventually.TrueAsync(() => ssd.Tier.Statistics().Admits);
        Assert.True(ssd.Write(other));
        ssd.Restart();
        Assert.Equal((false, true), (ssd.Tier.Contains(block.Id), ssd.Tier.Contains(other.Id)));
    }

    [Fact]
    public async Task What_is_removed_but_perhaps_not_from_the_disk_itself_is_said()
    {
        var disk = new FaultyDisk();
        using var ssd = new SsdHarness(disk: disk);
        Assert.True(ssd.Write(SsdHarness.Block("a", Alice), Alice));
        disk.Fails = static (call, _) => call is DiskCall.Flush or DiskCall.FlushFolder;
        Assert.NotNull(await DropAsync(ssd));
        // Nothing is left to be dropped, and yet it is not done.
        Assert.NotNull(await DropAsync(ssd));
        disk.Heal();
        Assert.Null(await DropAsync(ssd));
    }

    [Fact]
    public async Task What_had_given_way_before_and_could_not_be_erased_is_not_left_out()
    {
        var disk = new FaultyDisk();
        using var ssd = new SsdHarness(disk: disk);
        var (first, second) = (SsdHarness.Block("a", Alice), SsdHarness.Block("b", Alice));
        Assert.True(ssd.Write(first, Alice));
        var writes = 0;
        // The first block gives way to the second one.
        disk.Fails = (call, _) => call == DiskCall.Write && ++writes == 1;
        Assert.True(ssd.Write(second, Alice, quota: DirectFile.Alignment));
        Assert.Equal((false, true), (ssd.Tier.Contains(first.Id), ssd.Tier.Contains(second.Id)));
        Assert.Null(await DropAsync(ssd));
        ssd.Restart();
        Assert.Equal((false, false), (ssd.Tier.Contains(first.Id), ssd.Tier.Contains(second.Id)));
    }

    [Fact]
    public async Task What_was_moved_and_whose_old_segment_was_not_removed_is_not_left_out()
    {
        var disk = new FaultyDisk();
        using var ssd = new SsdHarness(64 * DirectFile.Alignment, disk: disk);
        var block = SsdHarness.Block("a", Alice);
        Assert.True(ssd.Write(block, Alice));
        var first = Directory.GetFiles(ssd.Folder, "*.directory").Single();
        disk.Fails = (call, path) => call == DiskCall.Delete && path == first;
        Crowd(ssd, block, () => false);
        Assert.True(File.Exists(first));
        Assert.NotNull(await DropAsync(ssd));
        disk.Heal();
        Assert.Null(await DropAsync(ssd));
        ssd.Restart();
        Assert.False(ssd.Tier.Contains(block.Id));
    }

    [Fact]
    public async Task What_was_moved_by_a_compaction_that_did_not_end_is_dropped_in_both_places()
    {
        var disk = new FaultyDisk();
        using var ssd = new SsdHarness(64 * DirectFile.Alignment, disk: disk);
        var block = SsdHarness.Block("a", Alice);
        Assert.True(ssd.Write(block, Alice));
        var first = Directory.GetFiles(ssd.Folder, "*.data").Single();
        var sealedBody = File.ReadAllBytes(first)[..1000];
        var moved = false;
        disk.Before = (call, _, bytes) =>
        {
            if (call != DiskCall.Write)
                return;
            // The block itself is moved; the disk has no room for the next one.
            var isBody = bytes.Length >= 1000;
            if (moved && isBody)
                throw new IOException("No space left on device");
            moved |= bytes.StartsWith(sealedBody);
        };
        Crowd(ssd, block, () => moved);
        Assert.True(moved);
        Assert.True(File.Exists(first));
        Assert.True(ssd.Tier.Contains(block.Id));
        disk.Heal();
        Assert.Null(await DropAsync(ssd));
        ssd.Restart();
        Assert.False(ssd.Tier.Contains(block.Id));
    }

    [Fact]
    public async Task What_is_moved_when_it_is_dropped_is_not_carried_on()
    {
        var disk = new FaultyDisk();
        using var ssd = new SsdHarness(64 * DirectFile.Alignment, disk: disk);
        var block = SsdHarness.Block("a", Alice);
        Assert.True(ssd.Write(block, Alice));
        // It is sealed: where these bytes are written again, it is being moved.
        var sealedBody = File.ReadAllBytes(Directory.GetFiles(ssd.Folder, "*.data").Single())[..1000];
        Dropped? dropped = null;
        disk.Before = (call, _, bytes) =>
        {
            if (call == DiskCall.Write && bytes.StartsWith(sealedBody))
                dropped = ssd.Tier.Drop(static entry => entry.Block.Owner == SsdHarness.Owner(Alice));
        };
        Crowd(ssd, block, () => dropped is not null);
        Assert.NotNull(dropped);
        Assert.Null(await Eventually.EndsAsync(dropped.Value.Erased));
        Assert.False(ssd.Tier.Contains(block.Id));
        ssd.Restart();
        Assert.False(ssd.Tier.Contains(block.Id));
    }

    [Fact]
    public async Task What_another_secret_hides_is_not_kept_for_its_return()
    {
        using var ssd = new SsdHarness();
        var (shared, own) = (SsdHarness.Block("a"), SsdHarness.Block("b", Alice));
        Assert.True(ssd.Write(shared));
        Assert.True(ssd.Write(own, Alice));
        ssd.Tier.Dispose();
        using (var other = ssd.Open(keyCheck: 1))
            Assert.Null(await Eventually.EndsAsync(other.Drop(static entry => entry.Block.Owner == SsdHarness.Owner(Alice)).Erased));
        ssd.Restart();
        Assert.Equal((true, false), (ssd.Tier.Contains(shared.Id), ssd.Tier.Contains(own.Id)));
    }

    [Theory]
    [InlineData(".data")]
    [InlineData(".directory")]
    public async Task What_the_disk_takes_for_ever_to_write_is_not_found_once_it_is_dropped_and_is_erased_when_it_is_there(string part)
    {
        var disk = new FaultyDisk();
        using var ssd = new SsdHarness(disk: disk);
        var (there, late) = (SsdHarness.Block("a", Alice), SsdHarness.Block("b", Alice));
        Assert.True(ssd.Write(there, Alice));
        using var hanging = new ManualResetEventSlim();
        using var going = new ManualResetEventSlim();
        disk.Before = (call, path, _) =>
        {
            if (call != DiskCall.Write || !path.EndsWith(part, StringComparison.Ordinal) || hanging.IsSet)
                return;
            hanging.Set();
            going.Wait();
        };
        var isWanted = true;
        var writing = Task.Run(() => ssd.Tier.TryWrite(late, SsdHarness.Body(late), SsdHarness.Master.Tenant(Alice), long.MaxValue, () => Volatile.Read(ref isWanted)));
        try
        {
            await Eventually.TrueAsync(() => hanging.IsSet);
            Volatile.Write(ref isWanted, false);
            var (first, again) = (ssd.Tier.Drop(static entry => entry.Block.Owner == SsdHarness.Owner(Alice)), ssd.Tier.Drop(static entry => entry.Block.Owner == SsdHarness.Owner(Alice)));
            Assert.Equal((1, 0), (first.Blocks, again.Blocks));
            Assert.False(ssd.Tier.Contains(there.Id));
            // Neither knows yet, and whoever asks again is not told that it is done.
            Assert.Equal((false, false), (first.Erased.IsCompleted, again.Erased.IsCompleted));
            going.Set();
            Assert.False(await Eventually.EndsAsync(writing));
            Assert.Equal((null, null), (await Eventually.EndsAsync(first.Erased), await Eventually.EndsAsync(again.Erased)));
        }
        finally
        {
            going.Set();
        }

        Assert.Null(await DropAsync(ssd));
        Assert.Equal((false, false), (ssd.Tier.Contains(there.Id), ssd.Tier.Contains(late.Id)));
        ssd.Restart();
        Assert.Equal((false, false), (ssd.Tier.Contains(there.Id), ssd.Tier.Contains(late.Id)));
    }

    /// <summary>Writes so much that the segment of a block is compacted: each has one block that is in use.</summary>
    private static void Crowd(SsdHarness ssd, TierBlock block, Func<bool> isEnough)
    {
        for (var number = 0; number < 200 && !isEnough(); number++)
        {
            ssd.Write(SsdHarness.Block($"{number}"));
            ssd.Tier.TryFind(block.Id, out _);
            for (var used = 0; used <= number; used += 7)
                ssd.Tier.TryFind(SsdHarness.Block($"{used}").Id, out _);
        }
    }

    private static async Task<string?> DropAsync(SsdHarness ssd) =>
        await Eventually.EndsAsync(ssd.Tier.Drop(static entry => entry.Block.Owner == SsdHarness.Owner(Alice)).Erased);
}
