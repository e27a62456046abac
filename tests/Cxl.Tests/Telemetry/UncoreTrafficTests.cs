using System.Diagnostics;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Telemetry;
using Moebius.Cxl.Topology;

namespace Moebius.Cxl.Tests.Telemetry;

public sealed class UncoreTrafficTests
{
    private const string Folder = "bus/event_source/devices";

    private static readonly string[] CxlDevice =
    [
        $"{Folder}/cxl_pmu_mem0.0/type = 77",
        $"{Folder}/cxl_pmu_mem0.0/cpumask = 3",
        $"{Folder}/cxl_pmu_mem0.0/format/mask = config:0-31",
        $"{Folder}/cxl_pmu_mem0.0/format/gid = config:32-47",
        $"{Folder}/cxl_pmu_mem0.0/format/vid = config:48-63",
        $"{Folder}/cxl_pmu_mem0.0/events/s2m_drs_memdata = vid=0x1e98,gid=0x24,mask=0x1",
    ];

    [Fact]
    public void A_CXL_devices_event_is_written_as_its_format_says()
    {
        using var sysfs = new SysfsFixture("ddr-only", CxlDevice);
        var unit = Assert.Single(PmuDevice.Find(new SysfsTree(sysfs.Root), "cxl_pmu_mem"));
        Assert.Equal(("cxl_pmu_mem0.0", 77u, 3), (unit.Name, unit.Type, Assert.Single(unit.Cpus)));
        Assert.Equal(0x1e98_0024_0000_0001UL, unit.Encode(unit.Event("s2m_drs_memdata")!));
        Assert.Null(unit.Event("m2s_rwd_memwr"));
        Assert.Equal(64, unit.BytesPerCount("s2m_drs_memdata"));
    }

    [Theory]
    [InlineData("event=0x0a,rdwrmask=0x2", 0x20aUL)]
    [InlineData("event=0x1ff", 0x1_0000_00ffUL)]
    [InlineData("inv", 0x80_0000UL)]
    [InlineData("config=0x1234", 0x1234UL)]
    [InlineData("event=0x200", null)]
    [InlineData("umask=1", null)]
    [InlineData("event=yes", null)]
    public void Fields_are_spread_over_their_bits_and_what_does_not_fit_is_refused(string text, ulong? config)
    {
        using var sysfs = new SysfsFixture("ddr-only", $"{Folder}/amd_umc_0/type = 9", $"{Folder}/amd_umc_0/format/event = config:0-7,32", $"{Folder}/amd_umc_0/format/rdwrmask = config:8-9", $"{Folder}/amd_umc_0/format/inv = config:23");
        Assert.Equal(config, Assert.Single(PmuDevice.Find(new SysfsTree(sysfs.Root), "amd_umc_")).Encode(text));
    }

    /// <summary>The kernel's own software events stand in for those of a memory controller, which this machine may lack.</summary>
    [Fact]
    public void Counts_are_read_from_the_kernel_and_scaled()
    {
        // cpu-clock, in nanoseconds, and the kernel's dummy event, which stays 0.
        using var sysfs = new SysfsFixture("ddr-only", Unit("event=0x0", "event=0x9"));
        var (meter, why) = TrafficMeter.Open(TelemetrySource.Auto, sysfs.Root);
        using var opened = meter;
        Assert.SkipWhen(meter is null, why);
        var first = meter.Read();
        Assert.Equal([("memory", "read"), ("memory", "write")], first.Select(count => (count.Link, count.Direction)));
        Thread.SpinWait(1_000_000);
        var then = meter.Read();
        Assert.True(then[0].Bytes > first[0].Bytes, $"{first[0]} {then[0]}");
        // Half a MiB for each nanosecond.
        Assert.Equal(0, then[0].Bytes % (1 << 19));
        Assert.Equal((0.0, TelemetrySource.PerfEvents, null), (then[1].Bytes, meter.Source, meter.Failure));
    }

    [Theory]
    [InlineData("0,18", new[] { 0, 18 })]
    [InlineData("0-1", new[] { 0, 1 })]
    [InlineData("", new[] { 0 })]
    public void A_unit_counts_on_each_CPU_that_it_names(string mask, int[] cpus)
    {
        using var sysfs = new SysfsFixture("ddr-only", $"{Folder}/uncore_imc_0/type = 1", $"{Folder}/uncore_imc_0/cpumask = {mask}");
        Assert.Equal(cpus, Assert.Single(PmuDevice.Find(new SysfsTree(sysfs.Root), "uncore_imc_")).Cpus);
    }

    /// <summary>A memory controller's unit has one CPU in each socket, and each counts its own socket.</summary>
    [Fact]
    public void The_traffic_of_every_socket_counts()
    {
        Assert.SkipUnless(Environment.ProcessorCount > 1, "one CPU only");
        using var sysfs = new SysfsFixture("ddr-only", [.. Unit("event=0x0", "event=0x9"), $"{Folder}/uncore_imc_0/cpumask = 0,1"]);
        var (meter, why) = TrafficMeter.Open(TelemetrySource.Auto, sysfs.Root);
        using var opened = meter;
        Assert.SkipWhen(meter is null, why);
        var first = meter.Read()[0].Bytes;
        var watch = Stopwatch.StartNew();
        Thread.Sleep(50);
        var nanoseconds = watch.Elapsed.TotalNanoseconds;
        // The clocks of two CPUs.
        Assert.InRange((meter.Read()[0].Bytes - first) / (1 << 19), 1.9 * nanoseconds, double.MaxValue);
    }

    [Fact]
    public void An_event_that_the_kernel_does_not_have_is_said()
    {
        using var sysfs = new SysfsFixture("ddr-only", Unit("event=0x0", "event=0xfe"));
        var (meter, why) = TrafficMeter.Open(TelemetrySource.PerfEvents, sysfs.Root);
        Assert.Null(meter);
        Assert.Contains("opening the perf event 1:fe", why, StringComparison.Ordinal);
    }

    [Fact]
    public void Half_of_the_directions_is_none()
    {
        using var sysfs = new SysfsFixture("ddr-only", CxlDevice);
        var (meter, why) = TrafficMeter.Open(TelemetrySource.PerfEvents, sysfs.Root);
        Assert.Null(meter);
        Assert.Contains("no counters of memory controllers", why, StringComparison.Ordinal);
    }

    private static string[] Unit(string read, string write) =>
    [
        $"{Folder}/uncore_imc_0/type = 1",
        $"{Folder}/uncore_imc_0/cpumask = 0",
        $"{Folder}/uncore_imc_0/format/event = config:0-7",
        $"{Folder}/uncore_imc_0/events/cas_count_read = {read}",
        $"{Folder}/uncore_imc_0/events/cas_count_read.scale = 0.5",
        $"{Folder}/uncore_imc_0/events/cas_count_read.unit = MiB",
        $"{Folder}/uncore_imc_0/events/cas_count_write = {write}",
    ];
}
