using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tests.Index;

public sealed class PrefixIndexTests
{
    [Fact]
    public void A_conversation_that_grows_stays_one_node()
    {
        var harness = new IndexHarness(64);
        harness.Cache(0, "abc");
        harness.Cache(0, "abcdef");
        harness.Cache(0, "abcdefghi");
        Assert.Equal(9, harness.Root.Node.Children!.Values.Single().Count);
    }

    [Fact]
    public void The_least_recently_used_leaf_goes_first_and_from_its_end()
    {
        var harness = new IndexHarness(7);
        harness.Cache(0, "abc");
        harness.Cache(0, "xyz");
        harness.Hits(0, "abc");
        harness.Cache(0, "q");
        Assert.Equal((3, 2), (harness.Hits(0, "abc"), harness.Hits(0, "xyz")));
    }

    [Fact]
    public void A_tenant_that_fills_the_cache_evicts_itself_and_not_its_neighbour()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "abcd");
        for (var round = 0; round < 20; round++)
            harness.Cache(1, $"{(char)('A' + round)}xyz");
        Assert.Equal(4, harness.Hits(0, "abcd"));
    }

    [Fact]
    public void A_tenant_at_its_quota_gets_no_more_than_it_gives_up()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "abcd", quota: 4);
        var lease = harness.Lookup(0, "abcd");
        Assert.Empty(harness.Index.Reserve(IndexHarness.Tenant(0), 3, 4));
        lease.Lease.Release();
        Assert.Equal(3, harness.Index.Reserve(IndexHarness.Tenant(0), 3, 4).Length);
    }

    [Fact]
    public void What_is_given_back_counts_against_no_quota()
    {
        var harness = new IndexHarness(8);
        var slots = harness.Index.Reserve(IndexHarness.Tenant(0), 4, 4);
        Assert.Empty(harness.Index.Reserve(IndexHarness.Tenant(0), 1, 4));
        foreach (var slot in slots)
            harness.Slots.Free(slot.Index);
        harness.Index.EndReservation(IndexHarness.Tenant(0), slots.Length);
        Assert.Equal(4, harness.Index.Reserve(IndexHarness.Tenant(0), 4, 4).Length);
    }

    [Fact]
    public void A_tenant_with_all_its_blocks_under_leases_pushes_out_nobody_who_takes_less()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "abcd");
        harness.Cache(1, "ABCDEFGH");
        var lease = harness.Lookup(1, "ABCDEFGH");
        Assert.Equal(4, harness.Index.Reserve(IndexHarness.Tenant(1), 8, int.MaxValue).Length);
        Assert.Equal(4, harness.Hits(0, "abcd"));
        lease.Lease.Release();
        Assert.Equal(4, harness.Index.Reserve(IndexHarness.Tenant(1), 4, int.MaxValue).Length);
        Assert.Equal(4, harness.Hits(0, "abcd"));
    }

    [Fact]
    public void A_newcomer_gets_as_much_as_the_others_keep_and_no_more()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "abcdefgh");
        harness.Cache(1, "ABCDEFGH");
        var taken = harness.Index.Reserve(IndexHarness.Tenant(2), 16, int.MaxValue).Length;
        Assert.InRange(taken, 4, 6);
        Assert.InRange(harness.Hits(0, "abcdefgh"), 5, 6);
        Assert.InRange(harness.Hits(1, "ABCDEFGH"), 5, 6);
    }

    [Fact]
    public void Idle_entries_are_dropped_by_their_visibility()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "abc");
        harness.Index.Promote(harness.Root, IndexHarness.Tenant(0), IndexHarness.Tokens("abc"), 1, new PublicReason("x"), IndexHarness.Tenant(0));
        Assert.Equal(2, harness.Index.DropIdle(long.MaxValue, 0));
        Assert.Equal(1, harness.Hits(1, "abc"));
        Assert.Equal(1, harness.Index.DropIdle(long.MaxValue, long.MaxValue));
        Assert.Equal(16, harness.Slots.FreeCount);
    }

    [Fact]
    public void What_is_looked_up_is_not_idle()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "abc");
        harness.Cache(0, "xyz");
        var before = harness.Now;
        harness.Hits(0, "abc");
        Assert.Equal(3, harness.Index.DropIdle(before + 1, before + 1));
        Assert.Equal((3, 0), (harness.Hits(0, "abc"), harness.Hits(0, "xyz")));
    }

    [Fact]
    public void What_a_copy_was_merged_into_is_as_little_idle_as_the_copy()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "abc");
        Promote(harness, 0, "abc");
        harness.Cache(1, "abc", View.OwnOnly);
        var used = harness.Now;
        Promote(harness, 1, "abc");
        Assert.Equal((0, 3), (harness.Index.DropIdle(used, used), harness.Blocks()));
    }

    [Fact]
    public void What_is_not_wanted_any_more_is_not_published_and_takes_no_room()
    {
        var harness = new IndexHarness(8);
        var keys = harness.Root.Keys(IndexHarness.Tokens("abc"));
        var slots = harness.Index.Reserve(IndexHarness.Tenant(0), keys.Length, int.MaxValue);
        var result = harness.Index.Insert(
            harness.Root, IndexHarness.Tenant(0), keys, 0, [.. slots.Select(slot => slot.Index)], int.MaxValue, View.Shared, null, null, isWanted: static () => false);
        Assert.Equal((default, 0, 8), (result, harness.Hits(0, "abc"), harness.Slots.FreeCount));
        // Nor is it still reserved for the tenant.
        Assert.Equal(3, harness.Cache(0, "xyz", quota: 3));
    }

    [Fact]
    public void What_another_tenant_appends_to_a_public_run_falls_back_to_that_tenant()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "ab", shareAs: new("x"));
        harness.Cache(1, "abcd", shareAs: new("x"));
        harness.Index.DemoteProbed(harness.PublicRuns(2, "abcd")[0]);
        Assert.Equal((2, 4, 2), (harness.Hits(0, "abcd"), harness.Hits(1, "abcd"), harness.Hits(2, "abcd")));
    }

    [Fact]
    public void What_is_public_for_another_reason_is_taken_back_alone()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "ab", shareAs: new("x"));
        harness.Cache(0, "abcd", shareAs: new("y"));
        Assert.Equal(2, harness.Index.Retract(reason => reason.Declaration == "x"));
        Assert.Equal((4, 2), (harness.Hits(0, "abcd"), harness.Hits(1, "abcd")));
    }

    [Fact]
    public void A_demoted_entry_falls_back_to_its_origin_and_nobody_elses_hangs_on_it()
    {
        var harness = new IndexHarness(32);
        harness.Cache(0, "abcd");
        harness.Index.Promote(harness.Root, IndexHarness.Tenant(0), IndexHarness.Tokens("ab"), 2, new PublicReason("x"), IndexHarness.Tenant(0));
        harness.Cache(1, "abzz");
        Assert.Equal(2, harness.Index.Retract(_ => false));
        Assert.Equal((4, 0), (harness.Hits(0, "abcd"), harness.Hits(1, "abzz")));
        Assert.Equal(4, harness.Blocks());
        Assert.Equal(harness.Slots.Count, harness.Slots.FreeCount + harness.Blocks());
    }

    [Fact]
    public void A_probed_entry_that_its_tenant_has_twice_is_private_for_good_in_both_places()
    {
        var harness = new IndexHarness(32);
        harness.Cache(0, "abc");
        Promote(harness, 0, "abc");
        // While the tenant saw its own entries only, it committed the same once more.
        harness.Cache(0, "abc", View.OwnOnly);
        harness.Index.DemoteProbed(harness.PublicRuns(1, "abc").Single());
        harness.Cache(0, "abcd");
        Assert.Equal(0, Promote(harness, 0, "abcd"));
        Assert.Equal((4, 0), (harness.Hits(0, "abcd"), harness.Hits(1, "abcd")));
    }

    [Fact]
    public void A_run_under_a_lease_is_not_idle()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "abcd");
        var lease = harness.Lookup(0, "ab");
        Assert.Equal(0, harness.Index.DropIdle(long.MaxValue, long.MaxValue));
        Assert.Equal(4, harness.Hits(0, "abcd"));
        lease.Lease.Release();
        Assert.Equal(4, harness.Index.DropIdle(long.MaxValue, long.MaxValue));
    }

    [Fact]
    public void What_is_withdrawn_along_a_path_begins_at_its_block_and_takes_what_follows()
    {
        var harness = new IndexHarness(32);
        harness.Cache(0, "abcd", shareAs: new("x"));
        harness.Cache(0, "abxy", shareAs: new("x"));
        Assert.Equal(0, harness.Index.DemotePath(harness.Root, harness.Root.Keys(IndexHarness.Tokens("ab")), 2));
        Assert.Equal(1, harness.Index.DemotePath(harness.Root, harness.Root.Keys(IndexHarness.Tokens("abcd")), 3));
        Assert.Equal((3, 4), (harness.Hits(1, "abcd"), harness.Hits(1, "abxy")));
        Assert.Equal(5, harness.Index.DemotePath(harness.Root, harness.Root.Keys(IndexHarness.Tokens("abcz")), 0));
        Assert.Equal((0, 4), (harness.Hits(1, "abcd"), harness.Hits(0, "abxy")));
    }

    [Fact]
    public void What_is_no_longer_public_is_announced_and_where_probing_began()
    {
        var announced = new List<(IReadOnlyList<BlockKey> Keys, BlockKey? Probed)>();
        var harness = new IndexHarness(32, (demoted, probed) => announced.Add((demoted, probed)));
        harness.Cache(0, "abcd", shareAs: new("x"));
        harness.Cache(0, "abxy", shareAs: new("x"));
        harness.Index.DemoteProbed(harness.PublicRuns(1, "abcd")[0]);
        harness.Index.Retract(_ => false);

        BlockKey[] path = harness.Root.Keys(IndexHarness.Tokens("abcd")), other = harness.Root.Keys(IndexHarness.Tokens("abxy"));
        Assert.Equal(2, announced.Count);
        Assert.Equal((path[2], null), (announced[0].Probed, announced[1].Probed));
        Assert.Equal(path[2..], announced[0].Keys);
        Assert.Equal(other, announced[1].Keys);
    }

    [Fact]
    public void What_follows_undecided_blocks_and_is_private_for_good_stays_so_when_its_copy_goes()
    {
        var harness = new IndexHarness(32);
        harness.Cache(0, "ab");
        Promote(harness, 0, "ab");
        harness.Cache(1, "abcd");
        harness.Cache(1, "abc", View.OwnOnly);
        Insert(harness, 1, harness.Root.Keys(IndexHarness.Tokens("abcd")), 3, view: View.OwnOnly, sealedPrivate: true);
        Assert.Equal(2, Promote(harness, 1, "abcd"));
        Assert.Equal((4, 2), (harness.Hits(1, "abcd"), harness.Hits(2, "abcd")));
    }

    [Fact]
    public void What_is_private_for_good_stays_so_when_its_copy_goes()
    {
        var harness = new IndexHarness(32);
        harness.Cache(0, "ab");
        Promote(harness, 0, "ab");
        harness.Cache(1, "abc");
        // While the tenant saw its own entries only, they came back from the disk, the last one with its verdict.
        harness.Cache(1, "ab", View.OwnOnly);
        Insert(harness, 1, harness.Root.Keys(IndexHarness.Tokens("abc")), 2, view: View.OwnOnly, sealedPrivate: true);
        Assert.Equal(2, Promote(harness, 1, "abc"));
        Assert.Equal((3, 2), (harness.Hits(1, "abc"), harness.Hits(2, "abc")));
    }

    [Fact]
    public void What_was_probed_does_not_become_public_again_by_its_tenant_after_it_was_evicted()
    {
        var harness = new IndexHarness(32);
        harness.Cache(0, "abc");
        Promote(harness, 0, "abc");
        harness.Index.DemoteProbed(harness.PublicRuns(1, "abc").Single());
        harness.Index.EvictAll(harness.Root);
        harness.Cache(0, "abcd");
        Assert.Equal(0, Promote(harness, 0, "abcd"));
        Assert.Equal((4, 0), (harness.Hits(0, "abcd"), harness.Hits(1, "abcd")));
        // Whoever commits the same decides over its own.
        harness.Cache(2, "abcd");
        Assert.Equal(4, Promote(harness, 2, "abcd"));
    }

    [Fact]
    public void What_was_probed_behind_a_run_of_the_same_tenant_does_not_become_public_again_either()
    {
        var harness = new IndexHarness(16);
        harness.Cache(0, "abcd");
        // Two runs: they are public for different reasons.
        harness.Index.Promote(harness.Root, IndexHarness.Tenant(0), IndexHarness.Tokens("abcd"), 1, new PublicReason("declared"), IndexHarness.Tenant(0));
        Promote(harness, 0, "abcd");
        Assert.Equal(3, harness.Index.DemoteProbed(harness.PublicRuns(1, "abcd")[0]));
        harness.Index.EvictTenant(harness.Root, IndexHarness.Tenant(0));
        harness.Cache(0, "abcd");
        Promote(harness, 0, "abcd");
        Assert.Equal((4, 1), (harness.Hits(0, "abcd"), harness.Hits(1, "abcd")));
    }

    [Fact]
    public void A_branch_at_every_block_of_a_long_prompt_exhausts_no_stack()
    {
        const int Depth = 100_000;
        var harness = new IndexHarness((3 * Depth) + 1);
        var trunk = Enumerable.Range(1, Depth).Select(block => new BlockKey(1, (ulong)block)).ToArray();
        Insert(harness, 0, trunk, 0, PublicReason.SharedByMode);
        // From the end, so that each walk is short. Every other branch is public, too.
        for (var at = Depth - 1; at > 0; at--)
        {
            (trunk[at], var key) = (new BlockKey(2, (ulong)at), trunk[at]);
            Insert(harness, 0, trunk.AsSpan(0, at + 1), at, at % 2 == 0 ? PublicReason.SharedByMode : null);
            trunk[at] = key;
        }

        Assert.Equal((2 * Depth) - 1, harness.Blocks());
        var top = harness.Root.Node.Children!.Values.Single();

        Assert.Equal(Depth + (Depth / 2) - 1, harness.Index.DemoteProbed(top));
        Assert.Equal((2 * Depth) - 1, harness.Blocks());
        Assert.Equal((2 * Depth) - 1, harness.Index.EvictTenant(harness.Root, IndexHarness.Tenant(0)));
        Assert.Equal(harness.Slots.Count, harness.Slots.FreeCount);
    }

    private static void Insert(
        IndexHarness harness, int tenant, ReadOnlySpan<BlockKey> keys, int from, PublicReason? shareAs = null, View view = View.Shared, bool sealedPrivate = false)
    {
        var slots = harness.Index.Reserve(IndexHarness.Tenant(tenant), keys.Length - from, int.MaxValue);
        harness.Index.Insert(
            harness.Root, IndexHarness.Tenant(tenant), keys, from, [.. slots.Select(slot => slot.Index)], int.MaxValue, view, shareAs, IndexHarness.Tenant(tenant), sealedPrivate);
    }

    private static int Promote(IndexHarness harness, int tenant, string text) => harness.Index.Promote(
        harness.Root, IndexHarness.Tenant(tenant), IndexHarness.Tokens(text), text.Length, new PublicReason("x"), IndexHarness.Tenant(tenant));

    [Fact]
    public async Task Readers_and_writers_side_by_side_lose_no_slot()
    {
        var harness = new IndexHarness(64);
        var work = Enumerable.Range(0, 4).Select(worker => Task.Run(() =>
        {
            var random = new Random(worker);
            for (var round = 0; round < 3000; round++)
            {
                var text = new string([.. Enumerable.Range(0, 1 + random.Next(8)).Select(_ => (char)('a' + random.Next(2)))]);
                var tenant = random.Next(3);
                var found = harness.Lookup(tenant, text);
                var slots = harness.Index.Reserve(IndexHarness.Tenant(tenant), Math.Max(1, text.Length - found.Blocks), 40);
                var blocks = found.Blocks + slots.Length;
                if (slots.Length > 0)
                    harness.Index.Insert(harness.Root, IndexHarness.Tenant(tenant), IndexHarness.Tokens(text.PadRight(blocks, 'z')[..blocks]), found.Blocks, [.. slots.Select(slot => slot.Index)], int.MaxValue, View.Shared, null, null);
                if (random.Next(4) == 0)
                    harness.Index.Promote(harness.Root, IndexHarness.Tenant(tenant), IndexHarness.Tokens(text), 2, new PublicReason("x"), null);
                found.Lease.Release();
            }
        }));
        await Task.WhenAll(work);
        Assert.Equal(harness.Slots.Count, harness.Slots.FreeCount + harness.Blocks());
        harness.Index.EvictAll(harness.Root);
        Assert.Equal(harness.Slots.Count, harness.Slots.FreeCount);
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData((1L << 31) + 5)]
    [InlineData(long.MaxValue)]
    public void More_use_never_makes_a_block_go_sooner(long hits) =>
        Assert.True(EvictionPolicy.Score(0, hits, 3) > EvictionPolicy.Score(0, 1_000_000, 3));

    [Fact]
    public void What_is_public_counts_as_four_tenants()
    {
        var (everybody, tenant) = (new Owner(Owner.PublicId, default) { Blocks = 8 }, new Owner(1, IndexHarness.Tenant(1)));
        Assert.Equal((true, false), (EvictionPolicy.MayGive(everybody, tenant, 2), EvictionPolicy.MayGive(everybody, tenant, 3)));
    }

    [Fact]
    public void Of_what_is_in_use_alike_the_deeper_block_goes_later() =>
        Assert.True(EvictionPolicy.Score(5, 2, 100) > EvictionPolicy.Score(5, 2, 10));
}
