using FsCheck;
using FsCheck.Fluent;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tests.Index;

/// <summary>Any interleaving of what tenants, the classifier, the policy and the monitor do.</summary>
public sealed class PrefixIndexProperties
{
    private const int Tenants = 4;

    // Nobody is known to have committed what this one makes public.
    private const int Anonymous = 3;

    private static readonly PublicReason[] Reasons = [new("declared"), new("declared before")];

    public enum Verb
    {
        Cache,
        CacheAlone,
        Lookup,
        Lease,
        Release,
        Promote,
        MarkPrivate,
        EvictTenant,
        EvictAll,
        Retract,
        Probe,
        DropPrivate,
        DropPublic,
    }

    public sealed record Step(Verb Verb, int Tenant, string Text, int Blocks);

    public static Arbitrary<Step[]> Steps()
    {
        // Two letters and short texts, so that prefixes are shared, split and merged all the time.
        var text = from length in Gen.Choose(1, 4)
                   from letters in Gen.Elements('a', 'b').ArrayOf(length)
                   select new string(letters);
        // There must be something before it can be taken away.
        var verbs = Gen.Frequency((1, Gen.Elements(Enum.GetValues<Verb>())), (1, Gen.Elements(Verb.Cache, Verb.Promote, Verb.Promote, Verb.Probe)));
        var step = from verb in verbs
                   from tenant in Gen.Choose(0, Tenants - 1)
                   from prompt in text
                   from blocks in Gen.Choose(0, 4)
                   select new Step(verb, tenant, prompt, blocks);
        return step.ListOf().Select(steps => steps.ToArray()).ToArbitrary();
    }

    [Property(Arbitrary = [typeof(PrefixIndexProperties)], MaxTest = 1500, EndSize = 120)]
    public void With_room_enough_it_answers_as_the_reference(Step[] steps)
    {
        var harness = new IndexHarness(4096);
        var reference = new ReferenceIndex();
        foreach (var step in steps)
        {
            var tenant = IndexHarness.Tenant(step.Tenant);
            var tokens = IndexHarness.Tokens(step.Text);
            var upTo = Math.Min(step.Blocks, step.Text.Length);
            switch (step.Verb)
            {
                case Verb.Cache:
                    harness.Cache(step.Tenant, step.Text);
                    reference.Insert(step.Tenant, step.Text);
                    break;
                case Verb.CacheAlone:
                    harness.Cache(step.Tenant, step.Text, View.OwnOnly);
                    reference.Insert(step.Tenant, step.Text, View.OwnOnly);
                    break;
                case Verb.Promote:
                    var isKnown = step.Tenant != Anonymous;
                    harness.Index.Promote(harness.Root, tenant, tokens, upTo, Reasons[step.Blocks % 2], isKnown ? tenant : null);
                    reference.Promote(step.Tenant, step.Text, upTo, Reasons[step.Blocks % 2], isKnown ? step.Tenant : null);
                    break;
                case Verb.MarkPrivate:
                    harness.Index.MarkPrivate(harness.Root, tenant, tokens, step.Blocks);
                    reference.MarkPrivate(step.Tenant, step.Text, step.Blocks);
                    break;
                case Verb.EvictTenant:
                    harness.Index.EvictTenant(harness.Root, tenant);
                    reference.EvictTenant(step.Tenant);
                    break;
                case Verb.EvictAll:
                    harness.Index.EvictAll(harness.Root);
                    reference.EvictAll();
                    break;
                case Verb.Retract:
                    harness.Index.Retract(reason => reason != Reasons[step.Blocks % 2]);
                    reference.Retract(Reasons[step.Blocks % 2]);
                    break;
                case Verb.Probe when harness.PublicRuns(step.Tenant, step.Text) is { Count: > 0 } runs:
                    var probed = runs[step.Blocks % runs.Count];
                    reference.DemoteProbed(step.Text[..(probed.Start + 1)]);
                    harness.Index.DemoteProbed(probed);
                    break;
                case Verb.DropPrivate:
                    harness.Index.DropIdle(long.MaxValue, 0);
                    reference.DropPrivate();
                    break;
                case Verb.DropPublic:
                    harness.Index.DropIdle(0, long.MaxValue);
                    reference.DropPublic();
                    break;
            }

            for (var reader = 0; reader < Tenants; reader++)
            {
                Assert.Equal(reference.Found(reader, step.Text, View.Shared), harness.Visibilities(reader, step.Text, View.Shared));
                Assert.Equal(reference.Found(reader, step.Text, View.OwnOnly), harness.Visibilities(reader, step.Text, View.OwnOnly));
            }

            Assert.Equal(reference.Count, harness.Blocks());
        }

        Assert.Equal(harness.Slots.Count, harness.Slots.FreeCount + harness.Blocks());
    }

    [Property(Arbitrary = [typeof(PrefixIndexProperties)], MaxTest = 1500, EndSize = 160)]
    public void Under_pressure_no_block_is_wrong_foreign_or_reused_while_leased(Step[] steps)
    {
        var harness = new IndexHarness(9);
        var leases = new List<IndexHarness.Found>();
        // What has been made public and not taken back, and what its tenant cannot make public again.
        var released = new HashSet<string>();
        var probed = new HashSet<(int Tenant, string Prefix)>();
        foreach (var step in steps)
        {
            var tenant = IndexHarness.Tenant(step.Tenant);
            var tokens = IndexHarness.Tokens(step.Text);
            switch (step.Verb)
            {
                case Verb.Cache:
                    harness.Cache(step.Tenant, step.Text, quota: 6);
                    break;
                case Verb.CacheAlone:
                    harness.Cache(step.Tenant, step.Text, View.OwnOnly, quota: 6);
                    break;
                case Verb.Lease:
                    leases.Add(harness.Lookup(step.Tenant, step.Text));
                    break;
                case Verb.Release when leases.Count > 0:
                    leases[step.Blocks % leases.Count].Lease.Release();
                    leases.RemoveAt(step.Blocks % leases.Count);
                    break;
                case Verb.Promote:
                    var upTo = Math.Min(step.Blocks, step.Text.Length);
                    harness.Index.Promote(harness.Root, tenant, tokens, upTo, Reasons[0], step.Tenant == Anonymous ? null : tenant);
                    for (var length = 1; length <= upTo && !probed.Contains((step.Tenant, step.Text[..length])); length++)
                        released.Add(step.Text[..length]);
                    break;
                case Verb.MarkPrivate:
                    harness.Index.MarkPrivate(harness.Root, tenant, tokens, step.Blocks);
                    break;
                case Verb.EvictTenant:
                    harness.Index.EvictTenant(harness.Root, tenant);
                    break;
                case Verb.EvictAll:
                    harness.Index.EvictAll(harness.Root);
                    break;
                case Verb.Retract:
                    harness.Index.Retract(_ => false);
                    released.Clear();
                    break;
                case Verb.Probe when harness.PublicRuns(step.Tenant, step.Text) is { Count: > 0 } runs:
                    var run = runs[step.Blocks % runs.Count];
                    var prefix = step.Text[..(run.Start + 1)];
                    if (run.Origin is { } origin)
                        probed.Add(((int)origin.High - 1, prefix));
                    harness.Index.DemoteProbed(run);
                    released.RemoveWhere(text => text.StartsWith(prefix, StringComparison.Ordinal));
                    break;
                case Verb.DropPrivate:
                    harness.Index.DropIdle(long.MaxValue, 0);
                    break;
            }

            for (var reader = 0; reader < Tenants; reader++)
                CheckAnswer(harness, reader, step.Text, released);
            // What is leased keeps its generation: it has not been handed to anybody else.
            Assert.All(leases.SelectMany(lease => lease.Slots), slot => Assert.Equal(slot, harness.Slots.Reference(slot.Index)));
            Assert.True(harness.Slots.FreeCount + harness.Blocks() <= harness.Slots.Count);
        }

        foreach (var lease in leases)
            lease.Lease.Release();
        Assert.Equal(harness.Slots.Count, harness.Slots.FreeCount + harness.Blocks());
        harness.Index.EvictAll(harness.Root);
        Assert.Equal(harness.Slots.Count, harness.Slots.FreeCount);
    }

    private static void CheckAnswer(IndexHarness harness, int reader, string text, HashSet<string> released)
    {
        var found = harness.Lookup(reader, text);
        for (var block = 0; block < found.Blocks; block++)
        {
            var (writer, prefix) = harness.ContentOf(found.Slots[block]);
            Assert.Equal(text[..(block + 1)], prefix);
            Assert.True(writer == reader || released.Contains(prefix), "another tenant's private block");
        }

        var alone = harness.Lookup(reader, text, View.OwnOnly);
        Assert.All(alone.Slots, slot => Assert.Equal(reader, harness.ContentOf(slot).Tenant));
        found.Lease.Release();
        alone.Lease.Release();
    }
}
