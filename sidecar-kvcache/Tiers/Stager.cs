using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Tiers;

/// <summary>Blocks on their way into the arena.</summary>
/// <param name="Blocks">How many are known to come.</param>
/// <param name="Done">Ends when they have come or could not.</param>
internal sealed record Staging(int Blocks, Task Done);

/// <summary>
/// Brings blocks back into the arena, on behalf of one tenant and on its account: public ones as public, its private ones
/// as private for good, or, when nothing had been decided about their text, until a commit that goes on from them brings
/// the text again. Two requests for the same blocks of the same tenant share the work. Of what waits for others, tenants take turns.
/// </summary>
internal sealed class Stager(TierContext context, SsdTier? ssd, SharedTier? shared, TierWriter writer, TierMetrics metrics, ILogger logger)
{
    private const int MaxStagings = 128;
    private const int MaxAtWork = 16;
    private const int Readers = 4;

    [ThreadStatic]
    private static AlignedBuffer? _buffer;

    private readonly ConcurrentDictionary<(TenantKey Tenant, BlockKey End), Staging> _running = [];
    private readonly Places<TenantKey> _places = new(MaxStagings);
    private readonly TurnGate<TenantKey> _work = new(MaxAtWork);

    public int Running => _running.Count;

    /// <summary>Begins to stage what continues a prefix. Null: there is nothing, or too much is being staged already, of the tenant or of all.</summary>
    public Staging? Begin(TierJob job, ReadOnlySpan<BlockKey> keys, int from, bool endsPublic)
    {
        if (from >= keys.Length)
            return null;
        // Before it is looked for what there is.
        var watch = writer.Evictions.Watch(job.Root.Model, job.Tenant);
        var end = (job.Tenant, keys[^1]);
        if (_running.TryGetValue(end, out var running))
            return running;
        var chain = BlockChain.Of(job.Root.Model, job.Tokens, context.Master);
        var policy = context.Policy();
        var withdrawn = writer.Withdrawals.Along(keys);
        // What was evicted and is still to be taken away from the server does not come back.
        var shares = shared is not null && job.Secret is not null && policy.SharePrivate && !writer.IsForgetting(job.Tenant) ? job.Secret : null;
        var entries = ssd is null ? [] : TierPlan.Continue(
            chain, from, endsPublic, job.View, job.Secret, id => ssd.TryFind(id, out var entry) ? entry : null,
            (block, entry) => PublicRules.Holds(policy, entry.Block.Reason!) && !IsWithdrawn(withdrawn, block, entry.Record.WrittenAt));
        // What cannot be there is not asked for: names tell whoever reads the server that somebody asks.
        var asksShared = shared is { IsAvailable: true } && from + entries.Count < chain.Count
            && ((job.View == View.Shared && policy.MakesPublic) || shares is not null);
        if (entries.Count == 0 && !asksShared)
            return null;
        if (!_places.TryTake(job.Tenant))
        {
            metrics.JobsDropped.Inc();
            return null;
        }

        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var staging = new Staging(entries.Count, done.Task);
        if (!_running.TryAdd(end, staging))
        {
            _places.Give(job.Tenant);
            return _running.TryGetValue(end, out running) ? running : null;
        }

        if (!context.TryBeginCopy(job.Layout))
        {
            End();
            // Another request for the same blocks may wait for it already.
            done.SetResult();
            return null;
        }

        var copied = keys.ToArray();
        _ = WorkAsync(_work.EnterAsync(job.Tenant, CancellationToken.None));
        return staging;

        async Task WorkAsync(Task turn)
        {
            // Never on the caller's thread.
            await turn.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            try
            {
                var reached = from + StageFromDisk(job, watch, copied, from, entries);
                if (asksShared && reached == from + entries.Count)
                    await StageFromSharedAsync(job, watch, shares, chain, copied, reached, endsPublic && entries.TrueForAll(static entry => entry.Block.IsPublic));
            }
            catch (Exception error)
            {
                // Whatever it is, also a lack of memory: what waits for it is computed.
                logger.LogError("Staging blocks failed with {Error}", error.GetType().Name);
            }
            finally
            {
                _work.Leave();
                context.EndCopy(job.Layout);
                End();
                done.SetResult();
            }
        }

        void End()
        {
            _places.Give(job.Tenant);
            _running.TryRemove(end, out _);
        }
    }

    private int StageFromDisk(TierJob job, EvictionWatch watch, BlockKey[] keys, int from, List<SsdEntry> entries)
    {
        if (entries.Count == 0)
            return 0;
        var slots = Reserve(job, entries.Count);
        var arrived = slots.Length;
        Parallel.For(0, slots.Length, new ParallelOptions { MaxDegreeOfParallelism = Readers }, (index, loop) =>
        {
            if (ssd!.TryRead(entries[index], job.Secret, _buffer ??= new AlignedBuffer(), Bytes(job, slots[index])))
                return;
            loop.Break();
            for (var known = Volatile.Read(ref arrived); index < known;)
                known = Interlocked.CompareExchange(ref arrived, index, known) == known ? index : Volatile.Read(ref arrived);
        });
        var staged = Publish(job, watch, writer.Withdrawals, keys, from, slots, [.. entries.Take(arrived).Select(entry => StagedBlock.Of(entry.Record, context.Master?.Origins))], index => !entries[index].Removed);
        metrics.Staged.WithLabels("ssd").Inc(staged);
        return staged;
    }

    private async Task StageFromSharedAsync(TierJob job, EvictionWatch watch, TenantSecret? secret, BlockChain chain, BlockKey[] keys, int from, bool isPublic)
    {
        const int Lot = 16;
        while (from < chain.Count)
        {
            var slots = Reserve(job, Math.Min(Lot, chain.Count - from));
            if (slots.Length == 0)
                return;
            var found = new List<StagedBlock>();
            try
            {
                found = await shared!.ReadAsync(chain, from, slots.Length, isPublic && job.View == View.Shared, job.Tenant, secret, context.Master?.Origins, index => Bytes(job, slots[index]), context.Policy(), job.Root.Model.BlockBytes);
            }
            finally
            {
                var staged = Publish(job, watch, writer.SharedWithdrawals, keys, from, slots, found, static _ => true);
                metrics.Staged.WithLabels("shared").Inc(staged);
                // What was taken back would stay in the way of what is public anew.
                var withdrawn = writer.SharedWithdrawals.Along(keys);
                shared!.Forget([.. Enumerable.Range(staged, found.Count - staged).Where(index => found[index].Reason is not null && IsWithdrawn(withdrawn, from + index, found[index].WrittenAt)).Select(index => found[index].Id)]);
                from += staged;
                isPublic &= found.TrueForAll(static block => block.Reason is not null);
                if (staged < slots.Length)
                    from = int.MaxValue;
            }
        }
    }

    private int[] Reserve(TierJob job, int count) =>
    [
        .. job.Layout.Index.Reserve(job.Tenant, count, EvictionPolicy.Quota(job.Layout.Slots.Count, context.Policy().MaxTenantPercent))
            .Select(static slot => slot.Index),
    ];

    /// <summary>Hands filled slots to the index and gives the others back.</summary>
    /// <returns>Blocks that are cached now.</returns>
    private int Publish(TierJob job, EvictionWatch watch, Withdrawals withdrawals, BlockKey[] keys, int from, int[] slots, List<StagedBlock> blocks, Func<int, bool> isWanted)
    {
        var index = job.Layout.Index;
        var policy = context.Policy();
        var withdrawn = withdrawals.Along(keys);
        bool IsWanted(int block) => isWanted(block) && (blocks[block].Reason is null || !IsWithdrawn(withdrawn, from + block, blocks[block].WrittenAt));
        bool AreAlike(int one, int other) =>
            Equals(blocks[one].Reason, blocks[other].Reason) && blocks[one].IsUndecided == blocks[other].IsUndecided && blocks[one].Origin == blocks[other].Origin;
        var (done, published) = (0, 0);
        while (done < blocks.Count && (blocks[done].Reason is not { } reason || (IsWanted(done) && PublicRules.Holds(policy, reason))))
        {
            var group = done + 1;
            while (group < blocks.Count && AreAlike(group, done) && IsWanted(group))
                group++;
            if (blocks[done].Reason is not null)
            {
                for (var block = done; block < group; block++)
                    writer.Names.Know(keys[from + block], blocks[block].Id);
            }

            var cached = index.Insert(
                job.Root, job.Tenant, keys.AsSpan(0, from + group), from + done, slots.AsSpan(done, group - done), int.MaxValue, job.View,
                blocks[done].Reason, blocks[done].Origin, sealedPrivate: !blocks[done].IsUndecided, () => watch.LetsKeep(blocks[done].Reason is not null)).CachedBlocks;
            // Withdrawn while it was on its way: it must not come back as public.
            withdrawn = withdrawals.Along(keys);
            if (blocks[done].Reason is not null && Enumerable.Range(done, group - done).FirstOrDefault(block => !IsWanted(block) || !writer.Names.IsKnown(keys[from + block]), -1) is var gone and >= 0)
                index.DemotePath(job.Root, keys, from + gone);
            done = group;
            if (cached < from + group)
                break;
            published = group;
        }

        if (!ReferenceEquals(context.Policy(), policy))
            index.Retract(reason => PublicRules.Holds(context.Policy(), reason));
        if (done < slots.Length)
        {
            job.Layout.Slots.Free(slots.AsSpan(done));
            index.EndReservation(job.Tenant, slots.Length - done);
        }

        return published;
    }

    /// <summary>Whether a public block was written before it, or something before it, was taken back.</summary>
    private static bool IsWithdrawn(long[]? withdrawn, int block, long writtenAt) => withdrawn is not null && writtenAt <= withdrawn[block];

    private Span<byte> Bytes(TierJob job, int slot) => context.Arena.Slot(job.Layout.Geometry, slot, (int)job.Root.Model.BlockBytes);
}
