using Microsoft.Extensions.Logging;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Tiers;

/// <summary>The tiers outside the arena, as the cache sees them. With none configured every call is a no-op.</summary>
internal sealed class TierSet : IAsyncDisposable
{
    /// <summary>How long an eviction waits for the disk to erase what is not found any more.</summary>
    public static readonly TimeSpan ErasurePatience = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan SweepPeriod = TimeSpan.FromMinutes(1);

    private readonly SsdTier? _ssd;
    private readonly SharedTier? _shared;
    private readonly MasterSecret? _master;
    private readonly TierWriter? _writer;
    private readonly Stager? _stager;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private long _swept;

    public TierSet(TierContext context, SsdTier? ssd, SharedTier? shared, TierMetrics metrics, TimeProvider time, ILogger logger)
    {
        _ssd = ssd;
        _shared = shared;
        _master = context.Master;
        _time = time;
        _logger = logger;
        _swept = time.GetTimestamp();
        if (ssd is null && shared is null)
            return;
        _writer = new TierWriter(context, ssd, shared, metrics, time, logger);
        _stager = new Stager(context, ssd, shared, _writer, metrics, logger);
        if (ssd is not null)
            metrics.Observe(ssd.Statistics());
        OnPolicy(context.Policy());
    }

    /// <summary>Prompts that are being copied in either direction, or wait for it.</summary>
    public int Pending => (_writer?.Waiting ?? 0) + (_stager?.Running ?? 0);

    /// <summary>One line for each tier that has something to say.</summary>
    public IEnumerable<string> States
    {
        get
        {
            if (_ssd?.Statistics() is { Admits: false } ssd)
                yield return $"ssd: serving, not admitting: {ssd.State}";
            if (_shared is { IsAvailable: false })
                yield return $"shared: {_shared.State}";
        }
    }

    /// <summary>What a copy may have to wait for without a limit, by its name; the server between pods has one.</summary>
    public string Slowest => _ssd is null ? "the tier between pods" : $"the disk tier in '{_ssd.Folder}'";

    /// <summary>Whether there is anything to bring back at all.</summary>
    public bool MayStage => _shared is not null || _ssd is { IsEmpty: false };

    /// <summary>A tenant's keys; null: its private blocks do not leave the arena.</summary>
    public TenantSecret? SecretOf(string tenant, bool anonymous) => anonymous || _writer is null ? null : _master?.Tenant(tenant);

    /// <summary>Blocks were committed or became public.</summary>
    public void Changed(TierJob job) => _writer?.Add(job);

    /// <summary>Blocks have become private for good: what was copied before says that nothing is known about them yet.</summary>
    /// <param name="job">As it was given to <see cref="Changed"/>.</param>
    /// <param name="since">A moment before that.</param>
    public void Judged(TierJob job, long since)
    {
        // A copy that has not begun sees the verdict.
        if (job.Secret is not null && _time.GetElapsedTime(since) >= TierWriter.Settle)
            _writer?.Add(job);
    }

    /// <summary>Blocks are no longer public; with the first that was probed, nothing that follows it is.</summary>
    public void Demoted(IReadOnlyList<BlockKey> keys, BlockKey? probed) => _writer?.Withdraw(keys, probed);

    /// <summary>Begins to bring back what continues a prefix; null when there is nothing.</summary>
    /// <param name="job">For whom.</param>
    /// <param name="keys">The prompt's.</param>
    /// <param name="found">Blocks that the arena has.</param>
    /// <param name="endsPublic">All of those are public.</param>
    public Staging? Stage(TierJob job, ReadOnlySpan<BlockKey> keys, int found, bool endsPublic) => _stager?.Begin(job, keys, found, endsPublic);

    /// <summary>A policy has come into force: what it does not let be public any more goes.</summary>
    public void OnPolicy(CompiledPolicy policy)
    {
        _ssd?.Drop(entry => entry.Block.Reason is { } reason && !PublicRules.Holds(policy, reason));
        if (_writer is not null && policy.HasEncryption && _master is null)
            _logger.LogWarning("Policy: encryption is asked for, but no key is mounted (--encryption-key): private blocks stay in the arena");
    }

    /// <summary>Drops a tenant's private blocks of a model, from the arena too; a null tenant: all blocks of the model.</summary>
    /// <param name="index">The arena's.</param>
    /// <param name="root">The model's.</param>
    /// <param name="tenant">Whose.</param>
    /// <param name="cancel">Ends the wait for the disk.</param>
    /// <returns>Blocks that the arena and the disk had; why some may be found again after a restart, null when none may.</returns>
    public async Task<(long Blocks, string? Unerased)> EvictAsync(PrefixIndex index, IndexRoot root, TenantKey? tenant, CancellationToken cancel)
    {
        if (_writer is null)
            return (index.Evict(root, tenant), null);
        var dropped = _writer.Evict(index, root, tenant);
        try
        {
            return (dropped.Blocks, await dropped.Erased.WaitAsync(ErasurePatience, _time, cancel));
        }
        catch (TimeoutException)
        {
            return (dropped.Blocks, $"the disk tier in '{_ssd!.Folder}' has not erased it within {ErasurePatience.TotalSeconds} seconds");
        }
    }

    /// <summary>Drops what has been idle for longer than the policy keeps it.</summary>
    public void Maintain(CompiledPolicy policy)
    {
        _ssd?.RetryErasing();
        if (_writer is null || _time.GetElapsedTime(_swept) < SweepPeriod)
            return;
        _swept = _time.GetTimestamp();
        var now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        _ssd?.Drop(entry => now - entry.LastUse > (entry.Block.IsPublic ? policy.PublicIdle : policy.PrivateIdle).TotalMilliseconds);
        _ = _shared?.RemoveAsync();
    }

    public void Observe(TierMetrics metrics)
    {
        if (_ssd is not null)
            metrics.Observe(_ssd.Statistics());
        if (_shared is not null)
            metrics.Admits.WithLabels("shared").Set(_shared.IsAvailable ? 1 : 0);
    }

    public async ValueTask DisposeAsync()
    {
        if (_writer is not null)
            await _writer.DisposeAsync();
        while (_stager?.Running > 0)
            await Task.Delay(5);
        if (_shared is not null)
            await _shared.DisposeAsync();
        _ssd?.Dispose();
    }
}
