using Moebius.KvCache.Monitoring;

namespace Moebius.KvCache.Tests.Monitoring;

/// <summary>Measures the memory of the process: no other test may allocate or give back any meanwhile.</summary>
[Collection("Alone")]
[CollectionDefinition("Alone", DisableParallelization = true)]
[Trait("Category", "Component")]
public sealed class ProbeMemoryTests
{
    [Fact]
    public void A_million_entries_and_ten_thousand_tenants_take_bounded_memory()
    {
        // A few more than are watched and isolated at once.
        const int entries = ProbeMonitor.MaxEntries + 10;
        var nodes = Enumerable.Range(0, entries).Select(_ => ProbeMonitorTests.Entry(ProbeMonitorTests.Cleared)).ToArray();
        var tenants = Enumerable.Range(0, ProbeMonitor.MaxIsolated + 10).Select(ProbeMonitorTests.Tenant).ToArray();
        var now = 600_000L;
        var monitor = new ProbeMonitor(() => ProbeMonitorTests.Settings, () => now);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var hit = 0; hit < 2 * entries; hit++)
            monitor.Record(nodes[hit % entries], tenants[hit % 9_973]);
        for (var hit = 0; hit < tenants.Length; hit++)
        {
            monitor.Record(nodes[0], tenants[hit]);
            monitor.Isolate(tenants[hit].Low, TimeSpan.FromMinutes(1));
        }

        var bytes = GC.GetTotalMemory(forceFullCollection: true) - before;
        Assert.Equal((ProbeMonitor.MaxEntries, ProbeMonitor.MaxIsolated), (monitor.Watched, monitor.Isolated));
        Assert.InRange(bytes / entries, 1, 256);
        GC.KeepAlive(nodes);
        now += 180_000;
        monitor.Sweep();
        Assert.Equal((0, 0), (monitor.Watched, monitor.Isolated));
    }
}
