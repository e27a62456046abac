using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tests.Index;

/// <summary>Any interleaving of what tenants and the classifier do, against the plainest model there is.</summary>
public sealed class PrefixIndexProperties
{
    private static readonly PublicReason Reason = new("declared");

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
        EvictUnpinned,
        Retract,
    }

    public sealed record Step(Verb Verb, int Tenant, string Text, int Blocks);

    public static Arbitrary<Step[]> Steps()
    {
        // Two letters and short texts, so that prefixes are shared, split and merged all the time.
        var text = from letters in Gen.Elements('a', 'b').ListOf()
                   select string.Concat(letters.Take(7));
        var step = from verb in Gen.Elements(Enum.GetValues<Verb>())
                   from tenant in Gen.Choose(0, 3)
                   from prompt in text
                   from blocks in Gen.Choose(0, 7)
                   select new Step(verb, tenant, prompt.Length == 0 ? "a" : prompt, blocks);
        return step.ListOf().Select(steps => steps.ToArray()).ToArbitrary();
    }

    [Property(Arbitrary = [typeof(PrefixIndexProperties)], MaxTest = 1500, EndSize = 120)]
    public void With_room_enough_it_answers_as_the_naive_model(Step[] steps)
    {
        var harness = new IndexHarness(4096);
        var model = new NaiveModel();
        foreach (var step in steps)
        {
            var tenant = IndexHarness.Tenant(step.Tenant);
            var tokens = IndexHarness.Tokens(step.Text);
            switch (step.Verb)
            {
                case Verb.Cache:
                    harness.Cache(step.Tenant, step.Text);
                    model.Insert(step.Tenant, step.Text);
                    break;
                case Verb.Promote:
                    harness.Index.Promote(harness.Root, tenant, tokens, Math.Min(step.Blocks, step.Text.Length), Reason, tenant);
                    model.Promote(step.Tenant, step.Text, Math.Min(step.Blocks, step.Text.Length));
                    break;
                case Verb.MarkPrivate:
                    harness.Index.MarkPrivate(harness.Root, tenant, tokens, step.Blocks);
                    model.MarkPrivate(step.Tenant, step.Text, step.Blocks);
                    break;
                case Verb.EvictTenant:
                    harness.Index.EvictTenant(harness.Root, tenant);
                    model.EvictTenant(step.Tenant);
                    break;
            }

            for (var reader = 0; reader < 4; reader++)
                Assert.Equal(model.Hits(reader, step.Text), harness.Hits(reader, step.Text));
        }

        Assert.Equal(harness.Slots.Count, harness.Slots.FreeCount + harness.Blocks());
    }

    [Property(Arbitrary = [typeof(PrefixIndexProperties)], MaxTest = 1500, EndSize = 160)]
    public void Under_pressure_no_block_is_wrong_foreign_or_reused_while_leased(Step[] steps)
    {
        var harness = new IndexHarness(9);
        var leases = new List<IndexHarness.Found>();
        var released = new HashSet<string>();
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
                    harness.Index.Promote(harness.Root, tenant, tokens, upTo, Reason, step.Tenant == 3 ? null : tenant);
                    for (var length = 1; length <= upTo; length++)
                        released.Add(step.Text[..length]);
                    break;
                case Verb.MarkPrivate:
                    harness.Index.MarkPrivate(harness.Root, tenant, tokens, step.Blocks);
                    break;
                case Verb.EvictTenant:
                    harness.Index.EvictTenant(harness.Root, tenant);
                    break;
                case Verb.EvictUnpinned:
                    harness.Index.EvictUnpinned(harness.Root);
                    break;
                case Verb.Retract:
                    harness.Index.Retract(_ => false);
                    released.Clear();
                    break;
            }

            for (var reader = 0; reader < 4; reader++)
                CheckAnswer(harness, reader, step.Text, released);
            // What is leased keeps its generation: it has not been handed to anybody else.
            Assert.All(leases.SelectMany(lease => lease.Slots), slot => Assert.Equal(slot, harness.Slots.Reference(slot.Index)));
            Assert.True(harness.Slots.FreeCount + harness.Blocks() <= harness.Slots.Count);
        }

        foreach (var lease in leases)
            lease.Lease.Release();
        Assert.Equal(harness.Slots.Count, harness.Slots.FreeCount + harness.Blocks());
        harness.Index.EvictUnpinned(harness.Root);
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

    /// <summary>Sets of prefixes: public ones, and each tenant's with whether they are private for good.</summary>
    private sealed class NaiveModel
    {
        private readonly HashSet<string> _public = [];
        private readonly Dictionary<int, Dictionary<string, bool>> _private = [];

        public int Hits(int tenant, string text)
        {
            for (var length = 1; length <= text.Length; length++)
            {
                if (!_public.Contains(text[..length]) && !Of(tenant).ContainsKey(text[..length]))
                    return length - 1;
            }

            return text.Length;
        }

        public void Insert(int tenant, string text)
        {
            var sticky = false;
            for (var length = 1; length <= text.Length; length++)
            {
                var prefix = text[..length];
                if (Of(tenant).TryGetValue(prefix, out var known))
                    sticky |= known;
                else if (!_public.Contains(prefix))
                    Of(tenant)[prefix] = sticky;
            }
        }

        public void Promote(int tenant, string text, int upTo)
        {
            for (var length = 1; length <= upTo; length++)
            {
                var prefix = text[..length];
                if (Of(tenant).TryGetValue(prefix, out var sticky) && sticky)
                    return;
                if (!Of(tenant).Remove(prefix) && !_public.Contains(prefix))
                    return;
                _public.Add(prefix);
            }
        }

        public void MarkPrivate(int tenant, string text, int fromBlock)
        {
            if (fromBlock >= text.Length || Hits(tenant, text) <= fromBlock)
                return;
            for (var length = fromBlock + 1; length <= text.Length; length++)
            {
                if (!Of(tenant).ContainsKey(text[..length]))
                    continue;
                foreach (var prefix in Of(tenant).Keys.Where(prefix => prefix.StartsWith(text[..length], StringComparison.Ordinal)).ToList())
                    Of(tenant)[prefix] = true;
                return;
            }
        }

        public void EvictTenant(int tenant) => Of(tenant).Clear();

        private Dictionary<string, bool> Of(int tenant) => _private.TryGetValue(tenant, out var prefixes) ? prefixes : _private[tenant] = [];
    }
}
