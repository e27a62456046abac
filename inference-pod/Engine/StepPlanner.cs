using System.Runtime.InteropServices;

namespace Moebius.Inference.Engine;

/// <summary>What the planner knows of a sequence.</summary>
/// <param name="Id">Number of the sequence; lower ones arrived earlier.</param>
/// <param name="Party">Who is charged for it.</param>
/// <param name="Tokens">Tokens known: prompt and output.</param>
/// <param name="Stored">Tokens whose keys and values are there.</param>
/// <param name="Ready">May be computed now; false while its cached prefix is being looked up.</param>
internal readonly record struct SequenceView(long Id, string Party, int Tokens, int Stored, bool Ready);

/// <summary>The engine's limits.</summary>
/// <param name="MaxSequences">Sequences computed at once.</param>
/// <param name="MaxBatchTokens">Tokens of one step.</param>
/// <param name="BlockTokens">Tokens of a KV block.</param>
/// <param name="Blocks">KV blocks there may be.</param>
internal sealed record SchedulerLimits(int MaxSequences, int MaxBatchTokens, int BlockTokens, int Blocks);

/// <summary>What one step does.</summary>
/// <param name="Preempt">Running sequences that lose their keys and values and wait again.</param>
/// <param name="Admit">Waiting sequences that begin.</param>
/// <param name="Chunks">How many tokens of which running sequence to compute.</param>
internal sealed record StepPlan(IReadOnlyList<long> Preempt, IReadOnlyList<long> Admit, IReadOnlyList<(long Id, int Tokens)> Chunks);

/// <summary>
/// Decides what the next step computes: continuous batching with chunked prefill. Pure.
/// <list type="number">
/// <item>A sequence holds blocks for all its known tokens from admission on, so a prefill that has begun always ends.
/// Only output makes sequences grow past the memory; then the latest arrivals of the party that has been served most are
/// preempted and recomputed later.</item>
/// <item>Every decode gets its token first, so a long prompt never halts running answers; prefills share what is left
/// of the step's tokens: those of the party that has been served least go first, in order of arrival.</item>
/// <item>Who is admitted next: preempted sequences, then the party that has been served least, then the earliest.
/// The first that does not fit is waited for, so that no long prompt starves.</item>
/// </list>
/// </summary>
internal static class StepPlanner
{
    /// <param name="running">Admitted sequences, in order of arrival.</param>
    /// <param name="waiting">The others.</param>
    /// <param name="preempted">Ids of waiting sequences that ran before.</param>
    /// <param name="served">Tokens computed for each party; absent is 0.</param>
    /// <param name="heldBlocks">Blocks of finished sequences that are still being copied into the prefix cache.</param>
    /// <param name="limits">The limits.</param>
    public static StepPlan Plan(
        IReadOnlyList<SequenceView> running,
        IReadOnlyList<SequenceView> waiting,
        IReadOnlySet<long> preempted,
        IReadOnlyDictionary<string, long> served,
        int heldBlocks,
        SchedulerLimits limits)
    {
        var kept = running.ToList();
        var free = limits.Blocks - heldBlocks;
        foreach (var sequence in kept)
            free -= BlocksOf(sequence.Tokens, limits);
        var preempt = new List<long>();
        while (free < 0 && kept.Count > 1)
        {
            var latest = kept.MaxBy(sequence => (served.GetValueOrDefault(sequence.Party), sequence.Id));
            preempt.Add(latest.Id);
            free += BlocksOf(latest.Tokens, limits);
            kept.Remove(latest);
        }

        // The last one may overdraw what others still hold: that is freed without its help, so it only waits.
        var chunks = free < 0 && heldBlocks > 0 ? [] : Chunks(kept, served, limits);
        var admit = preempt.Count > 0 || waiting.Count == 0 ? [] : Admit(kept, waiting, preempted, served, free, limits);
        return new StepPlan(preempt, admit, chunks);
    }

    /// <summary>Blocks that a number of tokens needs.</summary>
    public static int BlocksOf(int tokens, SchedulerLimits limits) => (tokens + limits.BlockTokens - 1) / limits.BlockTokens;

    private static List<(long Id, int Tokens)> Chunks(List<SequenceView> running, IReadOnlyDictionary<string, long> served, SchedulerLimits limits)
    {
        var chunks = new List<(long Id, int Tokens)>(running.Count);
        List<SequenceView>? prefills = null;
        var budget = limits.MaxBatchTokens;
        foreach (ref readonly var sequence in CollectionsMarshal.AsSpan(running))
        {
            if (!sequence.Ready || sequence.Tokens == sequence.Stored)
                continue;
            if (sequence.Tokens - sequence.Stored > 1)
            {
                (prefills ??= []).Add(sequence);
                continue;
            }

            if (budget == 0)
                return chunks;
            chunks.Add((sequence.Id, 1));
            budget--;
        }

        if (prefills is null)
            return chunks;
        foreach (var prefill in prefills.OrderBy(sequence => served.GetValueOrDefault(sequence.Party)).ThenBy(sequence => sequence.Id))
        {
            if (budget == 0)
                return chunks;
            var tokens = Math.Min(budget, prefill.Tokens - prefill.Stored);
            chunks.Add((prefill.Id, tokens));
            budget -= tokens;
        }

        return chunks;
    }

    private static List<long> Admit(
        List<SequenceView> running,
        IReadOnlyList<SequenceView> waiting,
        IReadOnlySet<long> preempted,
        IReadOnlyDictionary<string, long> served,
        int free,
        SchedulerLimits limits)
    {
        var admit = new List<long>();
        var count = running.Count;
        var charged = new Dictionary<string, long>();
        var candidates = waiting.ToList();
        while (count < limits.MaxSequences && candidates.Count > 0)
        {
            var next = candidates
                .OrderByDescending(sequence => preempted.Contains(sequence.Id))
                .ThenBy(sequence => served.GetValueOrDefault(sequence.Party) + charged.GetValueOrDefault(sequence.Party))
                .ThenBy(sequence => sequence.Id)
                .First();

            // A block in reserve for the next token keeps a newcomer from being preempted at once.
            var needed = BlocksOf(next.Tokens, limits);
            if (needed + (count > 0 ? 1 : 0) > free)
                break;
            admit.Add(next.Id);
            candidates.Remove(next);
            charged[next.Party] = charged.GetValueOrDefault(next.Party) + next.Tokens;
            free -= needed;
            count++;
        }

        return admit;
    }
}
