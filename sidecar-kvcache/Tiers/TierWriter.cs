using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// Copies committed blocks to the tiers outside the arena, some time after the commit and beside the requests: public
/// blocks under their public name, private ones under their tenant's. What is in a tier already is not copied again, so
/// evicting a block from the arena costs nothing. Of the prompts whose time has come, tenants take turns. A prompt that finds no room
/// in the queue, or whose tenant has enough there, is not copied.
/// </summary>
internal sealed class TierWriter : IAsyncDisposable
{
    /// <summary>Time for classification to come first: most blocks that become public are then written once.</summary>
    public static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(250);

    /// <summary>Most prompts that wait.</summary>
    internal const int MaxWaiting = 2048;

    /// <summary>Most bytes of prompts that wait: a container's default limit leaves 128 MiB beside the program and the arena.</summary>
    internal const long MaxWaitingBytes = 32L << 20;

    private readonly Channel<(TierJob Job, long Due)> _jobs = Channel.CreateUnbounded<(TierJob, long)>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Turns<TenantKey, TierJob> _due = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TierContext _context;
    private readonly SsdTier? _ssd;
    private readonly SharedTier? _shared;
    private readonly TierMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Places<TenantKey> _places = new(MaxWaiting);
    private readonly Places<TenantKey> _bytes = new(MaxWaitingBytes);
    private readonly Task _loop;
    private volatile EvictionWatch? _copying;

    public TierWriter(TierContext context, SsdTier? ssd, SharedTier? shared, TierMetrics metrics, TimeProvider time, ILogger logger)
    {
        _context = context;
        _ssd = ssd;
        _shared = shared;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _loop = Task.Run(RunAsync);
    }

    /// <summary>Prompts accepted and not copied yet.</summary>
    public int Waiting => (int)_places.Count;

    public void Add(TierJob job)
    {
        if (!TryTakePlace(job))
        {
            _metrics.JobsDropped.Inc();
            return;
        }

        _jobs.Writer.TryWrite((job, _time.GetTimestamp() + (long)(Settle.TotalSeconds * _time.TimestampFrequency)));
    }

    private bool TryTakePlace(TierJob job)
    {
        if (!_places.TryTake(job.Tenant))
            return false;
        if (_bytes.TryTake(job.Tenant, job.Bytes))
            return true;
        _places.Give(job.Tenant);
        return false;
    }

    private void GivePlace(TierJob job)
    {
        // In this order: who sees that nothing waits finds all the room.
        _bytes.Give(job.Tenant, job.Bytes);
        _places.Give(job.Tenant);
    }

    /// <summary>Since when what follows a block that was probed may be taken from a tier again.</summary>
    public Withdrawals Withdrawals { get; } = new();

    /// <summary>The same by the clock of the server between pods, whose blocks are written by many.</summary>
    public Withdrawals SharedWithdrawals { get; } = new();

    /// <summary>Under which names public blocks are in a tier.</summary>
    public PublicNames Names { get; } = new();

    /// <summary>What was evicted on request while blocks are copied.</summary>
    public Evictions Evictions { get; } = new();

    /// <summary>
    /// Whether the tier between pods may have private blocks of a tenant that were evicted: they are still to be taken away, or a copy
    /// that began before the eviction may yet send some.
    /// </summary>
    public bool IsForgetting(TenantKey tenant) =>
        // In this order: at its end a copy notes first that there is something to be taken away.
        (_copying is { } copying && copying.Tenant == tenant && !copying.LetsShare(isPublic: false)) || _shared?.IsForgetting(tenant) == true;

    /// <summary>Takes blocks that are no longer public out of the tiers.</summary>
    /// <param name="keys">The blocks.</param>
    /// <param name="probed">The first that was probed; null: none was.</param>
    public void Withdraw(IReadOnlyList<BlockKey> keys, BlockKey? probed)
    {
        if (probed is { } first)
        {
            Withdrawals.Add(first, _time.GetUtcNow().ToUnixTimeMilliseconds());
            // Until the server has said when that was, nothing that follows is taken from it.
            var number = SharedWithdrawals.Add(first, long.MaxValue);
            _shared?.TellTime(now => SharedWithdrawals.Settle(first, number, now));
        }

        var names = Names.Withdraw(keys);
        _ssd?.Drop(names);
        _shared?.Forget(names);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
                await CopyNextAsync(await NextAsync());
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopping: what is left is not copied.
        }
    }

    /// <summary>Whatever happens to a copy, also a lack of memory or a call that somebody else cancelled: the next one is made.</summary>
    private async Task CopyNextAsync(TierJob job)
    {
        try
        {
            await CopyAsync(job);
        }
        catch (Exception error) when (error is not OperationCanceledException || !_stop.IsCancellationRequested)
        {
            // Neither names nor texts are logged, so no message of an exception either.
            _logger.LogError("Copying blocks to another tier failed with {Error}", error.GetType().Name);
        }
        finally
        {
            GivePlace(job);
        }
    }

    private async Task<TierJob> NextAsync()
    {
        while (true)
        {
            // All wait equally long, so the first that came is the first whose time comes.
            var rest = TimeSpan.Zero;
            while (_jobs.Reader.TryPeek(out var first) && (rest = _time.GetElapsedTime(_time.GetTimestamp(), first.Due)) <= TimeSpan.Zero && _jobs.Reader.TryRead(out first))
                _due.Add(first.Job.Tenant, first.Job);
            _stop.Token.ThrowIfCancellationRequested();
            if (_due.TryTake(out var job))
                return job;
            if (rest > TimeSpan.Zero)
                await Task.Delay(rest, _time, _stop.Token);
            else
                await _jobs.Reader.WaitToReadAsync(_stop.Token);
        }
    }

    private async Task CopyAsync(TierJob job)
    {
        if (!_context.TryBeginCopy(job.Layout))
            return;
        var watch = _copying = Evictions.Watch(job.Root.Model, job.Tenant);
        try
        {
            await WriteAsync(job, watch);
        }
        finally
        {
            // Also when it failed: what it had sent by then may have come to the server behind the look for what is to be removed.
            if (watch.Evicted.HasFlag(Evicted.Tenant))
                _shared?.ForgetTenant(job.Tenant);
            _copying = null;
            _context.EndCopy(job.Layout);
        }
    }

    private async Task WriteAsync(TierJob job, EvictionWatch watch)
    {
        var keys = job.Root.Keys(job.Tokens);
        var chain = BlockChain.Of(job.Root.Model, job.Tokens, _context.Master);
        // Names first, then a second look: a withdrawal in between is seen by one or the other.
        var publicBlocks = Inspect(job, keys, out var first).TakeWhile(static run => run.Reason is not null).Sum(static run => run.Slots.Length);
        first.Release();
        for (var block = 0; block < publicBlocks; block++)
            Names.Know(keys[block], chain.Public(block));
        var runs = Inspect(job, keys, out var lease);
        try
        {
            var withdrawn = Withdrawals.Along(keys);
            var sharing = new List<(TierBlock Block, int Slot)>();
            foreach (var run in runs)
            {
                for (var index = 0; index < run.Slots.Length; index++)
                {
                    if (BlockOf(job, chain, run, run.Start + index) is { } block && (!block.IsPublic || Names.IsKnown(keys[block.Depth])))
                        Write(job, block, keys[block.Depth], run.Slots[index], withdrawn?[block.Depth] ?? long.MinValue, watch, sharing);
                }
            }

            if (_shared is not null && sharing.Count > 0)
            {
                await _shared.WriteAsync(
                    [.. sharing.Select(static item => item.Block)], block => SecretFor(job, block), block => watch.LetsShare(block.IsPublic) && (!block.IsPublic || Names.IsKnown(keys[block.Depth])),
                    reason => PublicRules.Holds(_context.Policy(), reason), index => Bytes(job, sharing[index].Slot),
                    (_context.Policy().PrivateIdle, _context.Policy().PublicIdle), _stop.Token);
            }
        }
        finally
        {
            lease.Release();
            for (var block = 0; block < publicBlocks; block++)
            {
                if (!Names.IsKnown(keys[block]))
                    Forget(chain.Public(block));
            }
        }
    }

    private static IReadOnlyList<CachedRun> Inspect(TierJob job, BlockKey[] keys, out IndexLease lease) =>
        job.Layout.Index.Inspect(job.Root, job.Tenant, keys, job.View, out lease);

    private static TierBlock? BlockOf(TierJob job, BlockChain chain, CachedRun run, int block)
    {
        if (run.Reason is { } reason)
            return new TierBlock(chain.Public(block), chain.Model, default, reason, block, Origin: run.Origin);
        return job.Secret is null ? null : new TierBlock(chain.Private(block, job.Secret), chain.Model, job.Tenant, null, block, run.Visibility == Visibility.Unproven);
    }

    private void Write(TierJob job, TierBlock block, BlockKey key, int slot, long withdrawnAt, EvictionWatch watch, List<(TierBlock Block, int Slot)> sharing)
    {
        var policy = _context.Policy();
        // Without an entry of its own on this disk a block that was shared already costs one question to the server.
        if (_shared is not null && (block.IsPublic || policy.SharePrivate))
            sharing.Add((block, slot));
        // What was written before its text was judged says so: a verdict for good takes its place. So does a block that is
        // public anew the place of one that was taken back.
        if (_ssd is not null && (block.IsPublic ? _ssd.WasWritten(block.Id, withdrawnAt) : !block.IsUndecided && _ssd.IsUndecided(block.Id)))
            _ssd.Drop([block.Id]);
        if (_ssd is not null && !_ssd.Contains(block.Id))
            _ssd.TryWrite(block, Bytes(job, slot), SecretFor(job, block), _ssd.Bytes / 100 * policy.MaxTenantPercent, () => watch.LetsKeep(block.IsPublic) && (!block.IsPublic || Names.IsKnown(key)));
    }

    private TenantSecret? SecretFor(TierJob job, in TierBlock block) => block.IsPublic ? _context.Master?.Origins : job.Secret;

    private Span<byte> Bytes(TierJob job, int slot) => _context.Arena.Slot(job.Layout.Geometry, slot, (int)job.Root.Model.BlockBytes);

    /// <summary>
    /// Drops a tenant's private blocks of a model, from the tier between pods those of all models; a null tenant: what this pod has of
    /// the model. When it returns, nothing of that is found in the arena or on the disk or comes back to them, however long the disk takes.
    /// </summary>
    /// <returns>Blocks that the arena and the disk had.</returns>
    public Dropped Evict(PrefixIndex index, IndexRoot root, TenantKey? tenant)
    {
        using var eviction = Evictions.Begin(root.Model, tenant);
        var evicted = index.Evict(root, tenant);
        if (tenant is { } key)
            _shared?.ForgetTenant(key);
        var model = BlockChain.NameOf(root.Model);
        var dropped = _ssd?.Drop(entry => entry.Block.Model == model && (tenant is null || (!entry.Block.IsPublic && entry.Block.Owner == tenant)));
        return new Dropped(evicted + (dropped?.Blocks ?? 0), dropped?.Erased ?? Task.FromResult<string?>(null));
    }

    private void Forget(BlockId name)
    {
        _ssd?.Drop([name]);
        _shared?.Forget([name]);
    }
}
