using System.Runtime.InteropServices;
using Moebius.Inference.Models;

namespace Moebius.Inference.Engine;

/// <summary>Does what <see cref="PrefillPlanner"/> says: copies blocks from one running sequence to another. On the engine's thread.</summary>
internal sealed class PrefillExchange(ICausalModel model, IEngineObserver observer)
{
    private readonly byte[] _block = new byte[model.Info.BlockBytes];

    /// <summary>Copies what can be copied and notes who is left out of the next step.</summary>
    public void Apply(ReadOnlySpan<RunningSequence> running)
    {
        foreach (var sequence in running)
            sequence.AwaitsPrefill = false;
        if (running.Length < 2 || !Prefills(running))
            return;
        var ready = running.ToArray().Where(sequence => !sequence.LookingUp && Shares(sequence)).ToList();
        if (ready.Count < 2)
            return;

        var plan = PrefillPlanner.Plan([.. ready.Select(static sequence => sequence.PrefillView)], model.Info.BlockTokens);
        foreach (var (to, from, blocks) in plan.Copies)
            Copy(ready.Find(sequence => sequence.Id == from)!.Kv!, ready.Find(sequence => sequence.Id == to)!, blocks);
        foreach (var sequence in ready)
            sequence.AwaitsPrefill = plan.Waiting.Contains(sequence.Id);
    }

    /// <summary>
    /// A sequence ends: those whose prompts are not computed yet take what it has stored of them, since before the next
    /// step it is gone. One that ends with its first token has no other step for it.
    /// </summary>
    public void Leave(RunningSequence leaving, ReadOnlySpan<RunningSequence> running)
    {
        if (leaving.Kv is not { } kv)
            return;
        foreach (var sequence in running)
        {
            if (!Prefills(sequence) || sequence.ComputesAll || !Shares(sequence))
                continue;
            var blocks = Math.Min(kv.SharedLength / model.Info.BlockTokens, PrefillPlanner.CommonBlocks(sequence.PrefillView, leaving.PrefillView, model.Info.BlockTokens));
            if (blocks > sequence.Kv!.Length / model.Info.BlockTokens)
                Copy(kv, sequence, blocks);
        }
    }

    /// <summary>Where keys and values depend on a sequence's length, another one's are of no use.</summary>
    private bool Shares(RunningSequence sequence) => sequence.Tokens.Count <= model.Info.KvSharedUpTo;

    private static bool Prefills(ReadOnlySpan<RunningSequence> running)
    {
        foreach (var candidate in running)
        {
            if (Prefills(candidate))
                return true;
        }

        return false;
    }

    private static bool Prefills(RunningSequence sequence) => !sequence.LookingUp && sequence.Tokens.Count - sequence.Kv!.Length > 1;

    private void Copy(ISequenceKv source, RunningSequence target, int blocks)
    {
        var (kv, tokens) = (target.Kv!, model.Info.BlockTokens);
        var before = kv.Length;
        kv.Truncate(before / tokens * tokens);
        for (var next = before / tokens; next < blocks; next++)
        {
            source.ExportBlock(next, _block);
            kv.ImportBlock(_block, CollectionsMarshal.AsSpan(target.Tokens).Slice(next * tokens, tokens));
        }

        var copied = kv.Length - before;
        observer.PrefillShared(copied);
        // What is computed again after a preemption was counted before.
        if (!target.PrefixCounted)
            target.Generation.CachedTokens += copied;
    }
}
