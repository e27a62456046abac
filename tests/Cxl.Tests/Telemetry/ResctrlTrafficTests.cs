using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Tests.Telemetry;

public sealed class ResctrlTrafficTests
{
    private const string Root = "fs/resctrl";

    // Two domains; the default group, a control group, and a monitoring group whose traffic its control group includes.
    private static readonly string[] Mounted =
    [
        $"{Root}/info/L3_MON/mon_features = llc_occupancy|mbm_total_bytes|mbm_local_bytes",
        $"{Root}/schemata = MB:0=100;1=100",
        .. Group("", 1000, 600),
        .. Group("batch/", 5000, 5000),
        .. Group("batch/mon_groups/one/", 4000, 4000),
        $"{Root}/mon_groups/",
    ];

    [Fact]
    public void Traffic_is_what_the_control_groups_grew_by_since_the_start()
    {
        using var sysfs = new SysfsFixture("ddr-only", Mounted);
        using var meter = Open(sysfs);
        Assert.Equal([("local", "both", 0.0), ("remote", "both", 0.0)], Read(meter));
        Set(sysfs, Group("", 1000 + 640, 600 + 64));
        Set(sysfs, Group("batch/", 5000 + 128, 5000 + 128));
        // Two domains each.
        Assert.Equal([("local", "both", 2 * (64 + 128.0)), ("remote", "both", 2 * (640 - 64.0))], Read(meter));
        Assert.Equal((TelemetrySource.Resctrl, null), (meter.Source, meter.Failure));
        Assert.Contains("2 groups", meter.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Groups_come_and_go_and_no_count_goes_back()
    {
        using var sysfs = new SysfsFixture("ddr-only", Mounted);
        using var meter = Open(sysfs);
        Directory.Delete(Path.Combine(sysfs.Root, Root, "batch"), recursive: true);
        Set(sysfs, Group("", 1100, 700));
        Assert.Equal(200, Read(meter)[0].Bytes);
        Set(sysfs, Group("batch/", 10, 10));
        Assert.Equal(220, Read(meter)[0].Bytes);
        Set(sysfs, Group("batch/", 4, 4));
        Assert.Equal(220, Read(meter)[0].Bytes);
    }

    [Theory]
    [InlineData("Unavailable")]
    [InlineData("Error")]
    [InlineData("Unassigned")]
    public void A_counter_without_a_value_is_said_and_the_others_count(string text)
    {
        using var sysfs = new SysfsFixture("ddr-only", Mounted);
        using var meter = Open(sysfs);
        Set(sysfs, Group("batch/", 6000, 6000));
        sysfs.Add($"{Root}/mon_data/mon_L3_00/mbm_total_bytes = {text}");
        Assert.Equal(2000, Read(meter)[0].Bytes);
        Assert.Contains($"mbm_total_bytes: {text}", meter.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_that_tells_no_local_traffic_has_one_figure()
    {
        using var sysfs = new SysfsFixture("ddr-only", [.. Mounted, $"{Root}/info/L3_MON/mon_features = mbm_total_bytes"]);
        using var meter = Open(sysfs);
        Set(sysfs, Group("", 1001, 0));
        Assert.Equal([("memory", "both", 2.0)], Read(meter));
    }

    [Fact]
    public void What_is_missing_is_said()
    {
        using var sysfs = new SysfsFixture("ddr-only");
        Assert.Contains("mount -t resctrl", Why(), StringComparison.Ordinal);
        sysfs.Add($"{Root}/info/L3/cbm_mask = fff");
        Assert.Contains("do not monitor bandwidth", Why(), StringComparison.Ordinal);
        sysfs.Add($"{Root}/info/L3_MON/mon_features = llc_occupancy");
        Assert.Contains("has no mbm_total_bytes", Why(), StringComparison.Ordinal);

        string Why()
        {
            var (meter, why) = TrafficMeter.Open(TelemetrySource.Resctrl, sysfs.Root);
            Assert.Null(meter);
            return why;
        }
    }

    private static string[] Group(string name, long total, long local) =>
        [.. new[] { "00", "01" }.SelectMany(domain => (string[])
        [
            $"{Root}/{name}mon_data/mon_L3_{domain}/mbm_total_bytes = {total}",
            $"{Root}/{name}mon_data/mon_L3_{domain}/mbm_local_bytes = {local}",
            $"{Root}/{name}mon_data/mon_L3_{domain}/llc_occupancy = 1",
        ])];

    private static void Set(SysfsFixture sysfs, string[] files)
    {
        foreach (var file in files)
            sysfs.Add(file);
    }

    private static ResctrlTraffic Open(SysfsFixture sysfs) => Assert.IsType<ResctrlTraffic>(TrafficMeter.Open(TelemetrySource.Auto, sysfs.Root).Meter);

    private static (string Link, string Direction, double Bytes)[] Read(ResctrlTraffic meter) => [.. meter.Read().Select(count => (count.Link, count.Direction, count.Bytes))];
}
