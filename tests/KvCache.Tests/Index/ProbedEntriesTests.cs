using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tests.Index;

public sealed class ProbedEntriesTests
{
    [Fact]
    public void A_path_is_followed_up_to_what_was_probed_of_the_same_tenant()
    {
        var probed = new ProbedEntries();
        probed.Add(IndexHarness.Tenant(1), Key(3));
        probed.Add(IndexHarness.Tenant(1), Key(2));
        BlockKey[] path = [Key(0), Key(1), Key(2), Key(3)];
        Assert.Equal((2, 4), (probed.First(IndexHarness.Tenant(1), path), probed.First(IndexHarness.Tenant(2), path)));
    }

    [Fact]
    public void The_oldest_are_forgotten()
    {
        var probed = new ProbedEntries();
        for (var entry = 0; entry <= ProbedEntries.Most; entry++)
        {
            probed.Add(IndexHarness.Tenant(1), Key(entry));
            // Again: takes no room.
            probed.Add(IndexHarness.Tenant(1), Key(entry));
        }

        Assert.Equal((1, 0), (probed.First(IndexHarness.Tenant(1), [Key(0)]), probed.First(IndexHarness.Tenant(1), [Key(1)])));
    }

    [Fact]
    public void What_is_probed_again_is_as_new()
    {
        var probed = new ProbedEntries();
        probed.Add(IndexHarness.Tenant(1), Key(0));
        probed.Add(IndexHarness.Tenant(1), Key(1));
        probed.Add(IndexHarness.Tenant(1), Key(0));
        for (var entry = 2; entry <= ProbedEntries.Most; entry++)
            probed.Add(IndexHarness.Tenant(1), Key(entry));
        Assert.Equal((0, 1), (probed.First(IndexHarness.Tenant(1), [Key(0)]), probed.First(IndexHarness.Tenant(1), [Key(1)])));
    }

    private static BlockKey Key(int number) => new(7, (ulong)number);
}
