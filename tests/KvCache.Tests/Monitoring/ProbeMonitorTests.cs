using Moebius.KvCache.Index;
using Moebius.KvCache.Monitoring;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Tests.Monitoring;

public sealed class ProbeMonitorTests
{
    internal static readonly MonitorSettings Settings = new(true, TimeSpan.FromSeconds(60), 20, 300, 20, true, TimeSpan.FromMinutes(10));

    internal static readonly PublicReason Cleared = new(null, IsCleared: true, "rules");

    private readonly ProbeMonitor _monitor;
    private readonly IndexNode _entry = Entry(Cleared);
    private long _now = 600_000;

    public ProbeMonitorTests() => _monitor = new ProbeMonitor(() => Settings, () => _now);

    [Theory]
    [InlineData(19, 1, 0, 0, ProbeVerdict.None)]
    [InlineData(20, 1, 0, 0, ProbeVerdict.Probed)]
    [InlineData(100, 19, 10, 1, ProbeVerdict.Probed)]
    [InlineData(100, 20, 10, 1, ProbeVerdict.None)]
    [InlineData(100, 1, 34, 1, ProbeVerdict.None)]
    [InlineData(100, 1, 33, 1, ProbeVerdict.Probed)]
    [InlineData(98, 1, 33, 1, ProbeVerdict.None)]
    [InlineData(99, 1, 33, 1, ProbeVerdict.Probed)]
    [InlineData(100, 1, 33, 2, ProbeVerdict.ProbedButCommon)]
    public void The_verdict_follows_hits_and_diversity(int hits, int distinct, int previousHits, int previousDistinct, object expected) =>
        Assert.Equal((ProbeVerdict)expected, ProbeRules.Judge(new WindowUse(hits, distinct, Math.Log2(distinct)), previousHits, previousDistinct, Settings));

    [Theory]
    [InlineData(25, 1.9, ProbeVerdict.Probed)]
    [InlineData(25, 4.4, ProbeVerdict.None)]
    public void One_account_among_many_with_a_hit_each_shows_in_the_entropy(int distinct, double entropy, object expected) =>
        Assert.Equal((ProbeVerdict)expected, ProbeRules.Judge(new WindowUse(100, distinct, entropy), 0, 0, Settings));

    [Fact]
    public void An_account_that_hides_among_sybils_is_the_suspect()
    {
        for (var round = 0; round < 24; round++)
        {
            Hit(1, 3);
            Hit(100 + round, 1);
        }

        Assert.True(_monitor.TryTakeAlarm(out var alarm));
        Assert.Equal(ProbeVerdict.Probed, alarm!.Verdict);
        Assert.Contains(Tenant(1).Low, alarm.Suspects);
    }

    [Fact]
    public void One_account_that_hammers_a_cleared_entry_is_noticed_once_a_window()
    {
        Hit(1, 100);
        Assert.True(_monitor.TryTakeAlarm(out var alarm));
        Assert.Equal((ProbeVerdict.Probed, new WindowUse(20, 1, 0)), (alarm!.Verdict, alarm.Use));
        Assert.Equal([Tenant(1).Low], alarm.Suspects);
        Assert.False(_monitor.TryTakeAlarm(out _));
    }

    [Fact]
    public void Many_users_are_no_probing_and_what_they_used_stays_public()
    {
        for (var tenant = 1; tenant <= 15; tenant++)
            Hit(tenant, 2);
        Assert.False(_monitor.TryTakeAlarm(out _));
        _now += 60_000;
        Hit(77, 200);
        Assert.True(_monitor.TryTakeAlarm(out var alarm));
        Assert.Equal(ProbeVerdict.ProbedButCommon, alarm!.Verdict);
    }

    [Fact]
    public void Only_the_window_right_before_tells_what_is_common()
    {
        for (var tenant = 1; tenant <= 15; tenant++)
            Hit(tenant, 2);
        _now += 120_000;
        Hit(77, 30);
        Assert.True(_monitor.TryTakeAlarm(out var alarm));
        Assert.Equal(ProbeVerdict.Probed, alarm!.Verdict);
    }

    [Fact]
    public void A_quarter_of_the_hits_makes_a_suspect_and_less_does_not()
    {
        var sketch = new TenantSketch();
        for (var hit = 0; hit < 20; hit++)
            sketch.Add(Tenant(hit < 5 ? 1 : 2));
        Assert.Equal(new HashSet<ulong> { Tenant(1).Low, Tenant(2).Low }, sketch.Heavy().ToHashSet());
        sketch.Add(Tenant(2));
        Assert.Equal([Tenant(2).Low], sketch.Heavy());
    }

    [Fact]
    public void The_entrys_own_tenant_and_declared_entries_are_not_watched()
    {
        _entry.Origin = Tenant(1);
        Hit(1, 1000);
        var declared = Entry(new PublicReason("digest"));
        for (var hit = 0; hit < 1000; hit++)
            _monitor.Record(declared, Tenant(2));
        Assert.False(_monitor.TryTakeAlarm(out _));
        Assert.Equal(0, _monitor.Watched);
    }

    [Fact]
    public void Windows_and_isolation_pass()
    {
        Hit(1, 1);
        _monitor.Isolate(Tenant(1).Low, TimeSpan.FromMinutes(10));
        Assert.True(_monitor.IsIsolated(Tenant(1)));
        Assert.False(_monitor.IsIsolated(Tenant(2)));
        _now += 600_000;
        Assert.False(_monitor.IsIsolated(Tenant(1)));
        _monitor.Sweep();
        Assert.Equal((0, 0), (_monitor.Watched, _monitor.Isolated));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(10)]
    [InlineData(100)]
    public void The_sketch_counts_tenants_closely_enough(int tenants)
    {
        var sketch = new TenantSketch();
        for (var hit = 0; hit < 5 * tenants; hit++)
            sketch.Add(Tenant(hit % tenants));
        Assert.InRange(sketch.Distinct(), tenants * 0.7, tenants * 1.3);
        Assert.InRange(sketch.Entropy(), 0, Math.Log2(tenants) + 1e-9);
    }

    internal static IndexNode Entry(PublicReason reason) => new() { Owner = new Owner(0, default), Visibility = Visibility.Public, Reason = reason };

    internal static TenantKey Tenant(int tenant) => Tenants.Derive(System.Text.Encoding.UTF8.GetBytes($"tenant-{tenant}"), anonymous: false);

    private static readonly TenantKeys Tenants = new([1, 2, 3]);

    private void Hit(int tenant, int times)
    {
        for (var hit = 0; hit < times; hit++)
            _monitor.Record(_entry, Tenant(tenant));
    }
}
