using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Moebius.Inference.Models;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Engine;

/// <summary>
/// Moves KV blocks between sequences and the prefix cache. Waiting for the cache happens outside the engine's thread;
/// copies happen on it, because the model's state belongs to it.
/// </summary>
internal sealed class PrefixExchange(
    ICausalModel model,
    Tokenizer tokenizer,
    IPrefixCache cache,
    IEngineObserver observer,
    Func<Action, bool> post,
    ILogger logger,
    CancellationToken stop)
{
    /// <summary>While an answer grows, blocks are offered in lots: each offer sends the whole prefix.</summary>
    private const int LotBlocks = 8;

    private readonly bool _enabled = cache is not NoPrefixCache;

    private int BlockTokens => model.Info.BlockTokens;

    /// <summary>Looks the sequence's prefix up; until the answer is imported the sequence is not ready.</summary>
    public void BeginLookup(RunningSequence sequence, bool first)
    {
        // At least the last token must be computed: its logits are what the request is about.
        var usable = (sequence.Tokens.Count - 1) / BlockTokens;
        if (!_enabled || usable == 0 || sequence.ComputesAll || sequence.Tokens.Count > model.Info.KvSharedUpTo)
            return;
        sequence.LookingUp = true;
        var kv = sequence.Kv;
        // The choices of a request, and one that was preempted, are one use of what is cached.
        var again = sequence.Request.Choices.LookedUp;
        sequence.Request.Choices.LookedUp = true;
        int[] tokens = [.. sequence.Tokens.Take(usable * BlockTokens)];
        _ = Task.Run(async () =>
        {
            var lease = await Guard(() => cache.LookupAsync(sequence.Request.Tenant, tokens, again, stop)).ConfigureAwait(false);
            if (!post(() => EndLookup(sequence, kv!, lease, usable, first)))
                lease?.Dispose();
        }, CancellationToken.None);
    }

    /// <summary>Offers the full blocks that the cache lacks: after prefill, in lots while decoding, and at the end.</summary>
    public void Offer(RunningSequence sequence, bool final)
    {
        // A prompt whose log-probabilities are asked for was not looked up: what of it is there already would be cached a second time.
        if (!_enabled || sequence.Offering || sequence.Refused || sequence.Request.Scores is not null || sequence.Kv is not { } kv)
            return;
        var first = sequence.OfferedBlocks;
        var count = (kv.SharedLength / BlockTokens) - first;
        var afterPrefill = sequence.Generated == 1;
        if (count <= 0 || !(final || afterPrefill || count >= LotBlocks))
            return;
        sequence.Offering = true;
        _ = Task.Run(async () =>
        {
            var room = await Guard(() => cache.ReserveAsync(sequence.Request.Tenant, count, stop)).ConfigureAwait(false);
            if (!post(() => Export(sequence, kv, room, first, count)))
                room?.Dispose();
        }, CancellationToken.None);
    }

    private void EndLookup(RunningSequence sequence, ISequenceKv kv, IPrefixLease? lease, int usable, bool first)
    {
        using (lease)
        {
            // Cancelled or preempted meanwhile: the answer is for a state that is gone.
            if (!ReferenceEquals(sequence.Kv, kv))
                return;
            sequence.LookingUp = false;
            var blocks = Math.Min(usable, lease?.Blocks ?? 0);
            for (var block = 0; block < blocks; block++)
            {
                var found = lease!.Read(block);
                if (found.IsEmpty)
                {
                    blocks = 0;
                    break;
                }

                kv.ImportBlock(found, CollectionsMarshal.AsSpan(sequence.Tokens).Slice(block * BlockTokens, BlockTokens));
            }

            if (blocks == 0 || !lease!.StillValid)
            {
                kv.Truncate(0);
                blocks = 0;
            }

            sequence.OfferedBlocks = blocks;
            if (!first)
                return;
            sequence.Generation.CachedTokens = blocks * BlockTokens;
            observer.PrefixLookup(sequence.Request.Prompt.Length, blocks * BlockTokens);
        }
    }

    private void Export(RunningSequence sequence, ISequenceKv kv, IBlockReservation? room, int first, int count)
    {
        if (!ReferenceEquals(sequence.Kv, kv) || kv.SharedLength < (first + count) * BlockTokens)
        {
            // Preempted meanwhile: the cache has refused nothing, and what is computed again may be offered again. Or so long by now that all was computed anew.
            room?.Dispose();
            EndOffer(sequence);
            return;
        }

        var blocks = Math.Min(count, room?.Blocks ?? 0);
        for (var i = 0; i < blocks; i++)
        {
            var place = room!.Write(i);
            if (place.IsEmpty)
                blocks = 0;
            else
                kv.ExportBlock(first + i, place);
        }

        // A full cache is not asked again at every step, and what follows a gap could not be found anyway.
        sequence.OfferedBlocks = first + blocks;
        sequence.Refused = blocks < count;
        if (blocks == 0)
        {
            room?.Dispose();
            sequence.Offering = false;
            return;
        }

        int[] tokens = [.. sequence.Tokens.Take((first + blocks) * BlockTokens)];
        var text = new List<byte>(tokens.Length * 4);
        var lengths = new int[tokens.Length];
        for (var i = 0; i < tokens.Length; i++)
        {
            var bytes = tokenizer.TextBytes(tokens[i]);
            lengths[i] = bytes.Length;
            text.AddRange(bytes);
        }

        var written = text.ToArray();
        _ = Task.Run(async () =>
        {
            object? cached;
            using (room)
                cached = await Guard(async () => (object)await room!.CommitAsync(tokens, first, written, lengths, stop).ConfigureAwait(false)).ConfigureAwait(false);
            post(() =>
            {
                sequence.Refused |= cached is not true;
                EndOffer(sequence);
            });
        }, CancellationToken.None);
    }

    private void EndOffer(RunningSequence sequence)
    {
        sequence.Offering = false;
        // Blocks that filled while the last offer was under way, of an answer that is complete by now.
        if (sequence.Finished)
            Offer(sequence, final: true);
    }

    private async Task<T?> Guard<T>(Func<Task<T?>> call) where T : class
    {
        try
        {
            return await call().ConfigureAwait(false);
        }
        catch (Exception error)
        {
            // The cache is an optimisation: whatever it does, requests go on. At the end nobody waits for it.
            if (!stop.IsCancellationRequested)
                logger.LogWarning("The prefix cache failed a call: {Reason}", error.Message);
            return null;
        }
    }
}
