using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

public class PrefillPlannerTests
{
    private const int Block = 4;
    private static readonly int[] System = [.. Enumerable.Range(100, 20)];

    [Fact]
    public void A_tenants_later_prompt_waits_for_the_earlier_and_takes_what_is_there()
    {
        var plan = Plan(View(1, "alice", [.. System, 1, 2], stored: 9), View(2, "alice", [.. System, 7, 8], stored: 0));
        Assert.Equal([(2, 1, 2)], plan.Copies);
        Assert.Equal([2L], plan.Waiting);
    }

    [Fact]
    public void Another_tenant_shares_what_is_public_for_both_and_nothing_else()
    {
        var alice = View(1, "alice", [.. System, 1, 2], stored: 21);
        Assert.Empty(Plan(alice, View(2, "bob", [.. System, 1, 2], 0)).Copies);
        Assert.Empty(Plan(alice, View(2, "bob", [.. System, 1, 2], 0) with { PublicTokens = 22 }).Copies);
        Assert.Equal([(2, 1, 2)], Plan(alice with { PublicTokens = 11 }, View(2, "bob", [.. System, 1, 2], 0) with { PublicTokens = 20 }).Copies);

        // Somebody who calls himself what an anonymous request is called is still somebody else.
        Assert.Empty(Plan(alice with { Tenant = new Tenant("x", true) }, View(2, "x", [.. System, 1, 2], 0)).Copies);
    }

    [Fact]
    public void Two_requests_that_name_nobody_share_only_what_is_public()
    {
        // They are one party to fairness, and still strangers to one another.
        var (one, other) = (View(1, "", [.. System, 1, 2], stored: 21) with { Tenant = Tenant.Unknown() }, View(2, "", [.. System, 1, 2], 0) with { Tenant = Tenant.Unknown() });
        var plan = Plan(one, other);
        Assert.Empty(plan.Copies);
        Assert.Empty(plan.Waiting);
        Assert.Equal([(2, 1, 2)], Plan(one with { PublicTokens = 11 }, other with { PublicTokens = 11 }).Copies);
    }

    [Fact]
    public void Nobody_waits_for_one_that_has_its_prompt_behind_it()
    {
        // Its next token completes a block of the other's; that one goes on by itself all the same.
        var plan = Plan(View(1, "alice", System[..8], stored: 7), View(2, "alice", System, 0));
        Assert.Equal([(2, 1, 1)], plan.Copies);
        Assert.Empty(plan.Waiting);
    }

    [Fact]
    public void Nobody_waits_for_another_tenants_private_prompt()
    {
        var plan = Plan(View(1, "alice", [.. System, 1, 2], 0), View(2, "bob", [.. System, 1, 2], 0));
        Assert.Empty(plan.Copies);
        Assert.Empty(plan.Waiting);
    }

    [Fact]
    public void The_last_token_is_always_computed() =>
        Assert.Equal([(2, 1, 4)], Plan(View(1, "alice", [.. System, 1], stored: 20), View(2, "alice", System, 0)).Copies);

    [Fact]
    public void A_single_block_is_shared_too() =>
        Assert.Equal([(2, 1, 1)], Plan(View(1, "alice", [.. System[..Block], 1], stored: 4), View(2, "alice", [.. System[..Block], 2], 0)).Copies);

    [Fact]
    public void One_that_is_further_on_does_not_wait_but_is_copied_from()
    {
        var plan = Plan(View(1, "alice", [.. System, 1], stored: 0), View(2, "alice", [.. System, 2], stored: 10));
        Assert.Equal([(1, 2, 2)], plan.Copies);
        Assert.Equal([2L], plan.Waiting);
    }

    /// <summary>A law: what is copied is equal and may be shared; a token is left to compute; the earliest prefill goes on.</summary>
    [Property(MaxTest = 500)]
    public void Plans_are_allowed_and_move((byte Shared, byte Own, byte Stored, byte Public, bool Alice)[] given)
    {
        var views = Views(given);
        var plan = PrefillPlanner.Plan(views, Block);
        foreach (var (to, from, blocks) in plan.Copies)
        {
            var (target, source) = (views[(int)to], views[(int)from]);
            Assert.Equal(source.Tokens.Take(blocks * Block), target.Tokens.Take(blocks * Block));
            Assert.True(target.Tenant == source.Tenant || blocks * Block <= Math.Min(target.PublicTokens, source.PublicTokens));
            Assert.True(blocks * Block > target.Stored && blocks * Block < target.Tokens.Count);
        }

        var prefills = views.Where(view => view.Tokens.Count - view.Stored > 1).Select(view => view.Id).ToList();
        Assert.True(plan.Waiting.IsSubsetOf(prefills));
        if (prefills.Count > 0)
            Assert.DoesNotContain(prefills[0], plan.Waiting);
    }

    /// <summary>
    /// A law: with a step's tokens given out in order of arrival, waiting costs at most one step for each earlier
    /// sequence, and no more is computed than without sharing.
    /// </summary>
    [Property(MaxTest = 300)]
    public void Waiting_is_bounded_and_saves_work((byte Shared, byte Own, byte Stored, byte Public, bool Alice)[] given, byte budget)
    {
        // From the beginning: a block that is half computed may be computed again.
        var views = Views(given).Select(view => view with { Stored = 0 }).ToList();
        var tokens = (budget % 40) + 1;
        var (alone, work) = Run(views, tokens, share: false);
        var (shared, less) = Run(views, tokens, share: true);
        for (var i = 0; i < views.Count; i++)
            Assert.True(shared[i] <= alone[i] + i, $"sequence {i} is ready after step {shared[i]} instead of {alone[i]}");
        Assert.True(less <= work);
    }

    private static (int[] Ready, int Computed) Run(IReadOnlyList<PrefillView> views, int budget, bool share)
    {
        var stored = new int[views.Count];
        var ready = new int[views.Count];
        var computed = 0;
        for (var step = 1; stored.Where((tokens, i) => views[i].Tokens.Count - tokens > 1).Any(); step++)
        {
            var plan = share ? PrefillPlanner.Plan([.. views.Select((view, i) => view with { Stored = stored[i] })], Block) : new PrefillPlan([], new HashSet<long>());
            foreach (var (to, from, blocks) in plan.Copies)
            {
                Assert.True(stored[from] >= blocks * Block);
                stored[to] = blocks * Block;
            }

            var left = budget;
            for (var i = 0; i < stored.Length; i++)
            {
                var take = plan.Waiting.Contains(i) ? 0 : Math.Min(left, views[i].Tokens.Count - 1 - stored[i]);
                (stored[i], left, computed) = (stored[i] + take, left - take, computed + take);
                if (ready[i] == 0 && views[i].Tokens.Count - stored[i] <= 1)
                    ready[i] = step;
            }
        }

        return (ready, computed);
    }

    private static List<PrefillView> Views((byte Shared, byte Own, byte Stored, byte Public, bool Alice)[] given) =>
        [.. (given ?? []).Take(6).Select((one, i) =>
        {
            int[] tokens = [.. System.Take(one.Shared % 21), .. Enumerable.Range(0, (one.Own % 20) + 1).Select(token => one.Own % 3 == 0 ? token : (1000 * (i + 1)) + token)];
            return View(i, one.Alice ? "alice" : "bob", tokens, one.Stored % tokens.Length) with { PublicTokens = one.Public % (tokens.Length + 1) };
        })];

    private static PrefillPlan Plan(params PrefillView[] views) => PrefillPlanner.Plan(views, Block);

    private static PrefillView View(long id, string tenant, int[] tokens, int stored) => new(id, new Tenant(tenant, false), [.. tokens], 0, stored);
}
