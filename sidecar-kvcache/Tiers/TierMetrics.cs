using Prometheus;

namespace Moebius.KvCache.Tiers;

/// <summary>Counters of the tiers outside the arena. None carries a tenant or tells private from public.</summary>
internal sealed class TierMetrics
{
    public TierMetrics(CollectorRegistry registry)
    {
        var factory = Metrics.WithCustomRegistry(registry);
        Staged = factory.CreateCounter("moebius_kvcache_tier_staged_blocks_total", "Blocks brought back into the arena.", "tier");
        Written = factory.CreateCounter("moebius_kvcache_tier_written_blocks_total", "Blocks stored.", "tier");
        Refused = factory.CreateCounter("moebius_kvcache_tier_refused_blocks_total", "Blocks that could not be stored: no room, no quota, or the tier was not available.", "tier");
        Dropped = factory.CreateCounter("moebius_kvcache_tier_dropped_blocks_total", "Blocks dropped: for room, for age, or because they may not be seen any more.", "tier");
        Damaged = factory.CreateCounter("moebius_kvcache_tier_damaged_blocks_total", "Blocks whose checksum or seal did not fit; they were not served.", "tier");
        Blocks = factory.CreateGauge("moebius_kvcache_tier_blocks", "Blocks stored.", "tier");
        Bytes = factory.CreateGauge("moebius_kvcache_tier_bytes", "Bytes that stored blocks take.", "tier");
        Admits = factory.CreateGauge("moebius_kvcache_tier_admits", "1 while the tier stores blocks; 0 while its disk is full or does not erase, or its server does not answer.", "tier");
        JobsDropped = factory.CreateCounter("moebius_kvcache_tier_jobs_dropped_total", "Prompts that were not written to or staged from a tier because too many were waiting.");
    }

    public Counter Staged { get; }

    public Counter Written { get; }

    public Counter Refused { get; }

    public Counter Dropped { get; }

    public Counter Damaged { get; }

    public Gauge Blocks { get; }

    public Gauge Bytes { get; }

    public Gauge Admits { get; }

    public Counter JobsDropped { get; }

    /// <summary>Takes the SSD tier's figures over.</summary>
    public void Observe(SsdStatistics ssd)
    {
        const string Tier = "ssd";
        Written.WithLabels(Tier).IncTo(ssd.Written);
        Refused.WithLabels(Tier).IncTo(ssd.Refused);
        Dropped.WithLabels(Tier).IncTo(ssd.Dropped);
        Damaged.WithLabels(Tier).IncTo(ssd.Damaged);
        Blocks.WithLabels(Tier).Set(ssd.Blocks);
        Bytes.WithLabels(Tier).Set(ssd.LiveBytes);
        Admits.WithLabels(Tier).Set(ssd.Admits ? 1 : 0);
    }
}
