using System.Runtime.InteropServices;

namespace Moebius.Inference.Engine;

/// <summary>What the planner knows of a running sequence.</summary>
/// <param name="Id">Number of the sequence; lower ones arrived earlier.</param>
/// <param name="Tenant">Whose it is.</param>
/// <param name="Tokens">Tokens known: prompt and output.</param>
/// <param name="PublicTokens">Leading tokens that every tenant may share.</param>
/// <param name="Stored">Tokens whose keys and values are there.</param>
internal readonly record struct PrefillView(long Id, Tenant Tenant, List<int> Tokens, int PublicTokens, int Stored)
{
    /// <summary>It takes nothing from others: each of its tokens has to be computed. Others may take from it.</summary>
    public bool ComputesAll { get; init; }
}

/// <summary>What sequences take from one another before a step.</summary>
/// <param name="Copies">In this order: a sequence takes the blocks that it lacks, up to a number of blocks, from another one.</param>
/// <param name="Waiting">Sequences that are not computed in this step, because an earlier one computes what they need.</param>
internal sealed record PrefillPlan(IReadOnlyList<(long To, long From, int Blocks)> Copies, IReadOnlySet<long> Waiting);

/// <summary>
/// Finds prefixes that several running sequences have in common and may share, so that one of them computes the blocks
/// and the others copy them. Pure.
/// <list type="number">
/// <item>May share: all of it within a tenant; between tenants only the tokens that are public for both.</item>
/// <item>A sequence takes every such block that another one has stored.</item>
/// <item>It is left out of a step when an earlier sequence, which is computed in it, is no further behind and needs
/// blocks that both have in common. Within a party the earlier one gets its share of the step's tokens first, so the blocks
/// are there no later than by computing them alone; what is the sequence's own comes in the step behind. Some prefill always
/// goes on, and each party's turn comes: nothing can wait for ever.</item>
/// </list>
/// All is found anew before each step: when the one that computes is cancelled or preempted, the next step goes on without it.
/// </summary>
internal static class PrefillPlanner
{
    /// <param name="sequences">Those that may be computed now, in order of their numbers.</param>
    /// <param name="blockTokens">Tokens of a block.</param>
    public static PrefillPlan Plan(IReadOnlyList<PrefillView> sequences, int blockTokens)
    {
        var copies = new List<(long, long, int)>();
        var waiting = new HashSet<long>();
        var stored = new int[sequences.Count];
        for (var i = 0; i < stored.Length; i++)
            stored[i] = sequences[i].Stored / blockTokens;

        var computing = new List<int>();
        for (var i = 0; i < stored.Length; i++)
        {
            var sequence = sequences[i];
            if (sequence.Tokens.Count - sequence.Stored <= 1)
                continue;
            if (sequence.ComputesAll)
            {
                computing.Add(i);
                continue;
            }

            var source = -1;
            for (var other = 0; other < stored.Length; other++)
            {
                // The common prefix is looked at last: it costs most.
                if (other == i || stored[other] <= stored[i])
                    continue;
                var blocks = Math.Min(stored[other], CommonBlocks(sequence, sequences[other], blockTokens));
                if (blocks > stored[i])
                    (source, stored[i]) = (other, blocks);
            }

            if (source >= 0)
                copies.Add((sequence.Id, sequences[source].Id, stored[i]));
            var own = stored[i];
            if (computing.Exists(leader => stored[leader] >= own && CommonBlocks(sequence, sequences[leader], blockTokens) > own))
                waiting.Add(sequence.Id);
            else
                computing.Add(i);
        }

        return new PrefillPlan(copies, waiting);
    }

    /// <summary>Leading blocks that are the same in both and may be shared, without the last token of the first: its logits must be computed.</summary>
    public static int CommonBlocks(PrefillView sequence, PrefillView other, int blockTokens)
    {
        var most = Math.Min(sequence.Tokens.Count - 1, other.Tokens.Count);
        if (sequence.Tenant != other.Tenant)
            most = Math.Min(most, Math.Min(sequence.PublicTokens, other.PublicTokens));
        return most < blockTokens
            ? 0
            : CollectionsMarshal.AsSpan(sequence.Tokens)[..most].CommonPrefixLength(CollectionsMarshal.AsSpan(other.Tokens)) / blockTokens;
    }
}
