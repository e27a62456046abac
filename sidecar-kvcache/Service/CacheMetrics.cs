using Prometheus;

namespace Moebius.KvCache.Service;

/// <summary>Counters for Prometheus. None carries a tenant: metrics must not say what a lookup would not.</summary>
internal sealed class CacheMetrics
{
    public CacheMetrics()
    {
        var factory = Metrics.WithCustomRegistry(Registry);
        Lookups = factory.CreateCounter("moebius_kvcache_lookups_total", "Lookups answered.");
        LookupBlocks = factory.CreateCounter("moebius_kvcache_lookup_blocks_total", "Blocks asked for in lookups.");
        HitBlocks = factory.CreateCounter("moebius_kvcache_hit_blocks_total", "Blocks found in lookups.");
        CommittedBlocks = factory.CreateCounter("moebius_kvcache_committed_blocks_total", "Blocks handed in by engines.");
        PromotedBlocks = factory.CreateCounter("moebius_kvcache_promoted_blocks_total", "Blocks that became public.");
        DemotedBlocks = factory.CreateCounter("moebius_kvcache_demoted_blocks_total", "Blocks that were public and are not any more.");
        EvictedBlocks = factory.CreateCounter("moebius_kvcache_evicted_blocks_total", "Blocks dropped since start: for room, for age, or on request.");
        PrivateVerdicts = factory.CreateCounter("moebius_kvcache_private_verdicts_total", "Commits with text that stays private, by the tier of the first cause: rules, classifier, or context.", "reason");
        ClassificationsDropped = factory.CreateCounter("moebius_kvcache_classifications_dropped_total", "Commits left private because too many were waiting.");
        ClassificationsFailed = factory.CreateCounter("moebius_kvcache_classifications_failed_total", "Commits left private because of an error.");
        ContextChecks = factory.CreateCounter("moebius_kvcache_context_checks_total", "Passages that tier 3 was asked about, by its verdict: private, public, or none.", "verdict");
        Passages = factory.CreateCounter("moebius_kvcache_passages_total", "Passages that tier 2 judged, by its verdict: private, public, or open.", "verdict");
        ProbingVerdicts = factory.CreateCounter("moebius_kvcache_probing_verdicts_total", "Public entries that were judged to be probed.");
        PolicyReloads = factory.CreateCounter("moebius_kvcache_policy_reloads_total", "Policy files taken up after the first.");
        PolicyErrors = factory.CreateCounter("moebius_kvcache_policy_errors_total", "Policy files refused.");
        PolicyInvalid = factory.CreateGauge("moebius_kvcache_policy_invalid", "1 while the newest policy file is refused and an older one is in force.");
        PolicyRefusedGeneration = factory.CreateGauge("moebius_kvcache_policy_refused_generation", "metadata.generation of the newest policy file while it is refused; 0 otherwise, and when it cannot be read.");
        PolicyGeneration = factory.CreateGauge("moebius_kvcache_policy_generation", "metadata.generation of the policy in force; 0 without one.");
        SessionsReclaimed = factory.CreateCounter("moebius_kvcache_sessions_reclaimed_total", "Engine sessions that ended and whose leases were reclaimed.");
        Sessions = factory.CreateGauge("moebius_kvcache_sessions", "Engine sessions.");
        IsolatedTenants = factory.CreateGauge("moebius_kvcache_isolated_tenants", "Tenants that see only their own entries after probing.");
        Blocks = factory.CreateGauge("moebius_kvcache_blocks", "Blocks in the cache.", "visibility");
        Slots = factory.CreateGauge("moebius_kvcache_slots", "Arena slots.", "state");
    }

    public CollectorRegistry Registry { get; } = Metrics.NewCustomRegistry();

    public Counter Lookups { get; }

    public Counter LookupBlocks { get; }

    public Counter HitBlocks { get; }

    public Counter CommittedBlocks { get; }

    public Counter PromotedBlocks { get; }

    public Counter DemotedBlocks { get; }

    public Counter EvictedBlocks { get; }

    public Counter PrivateVerdicts { get; }

    public Counter ClassificationsDropped { get; }

    public Counter ClassificationsFailed { get; }

    public Counter ContextChecks { get; }

    public Counter Passages { get; }

    public Counter ProbingVerdicts { get; }

    public Counter PolicyReloads { get; }

    public Counter PolicyErrors { get; }

    public Gauge PolicyInvalid { get; }

    public Gauge PolicyRefusedGeneration { get; }

    public Gauge PolicyGeneration { get; }

    public Counter SessionsReclaimed { get; }

    public Gauge Sessions { get; }

    public Gauge IsolatedTenants { get; }

    public Gauge Blocks { get; }

    public Gauge Slots { get; }
}
