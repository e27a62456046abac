using System.Runtime.InteropServices;
using System.Text;
using Moebius.Cxl.Hints;
using Moebius.Cxl.Telemetry;
using Moebius.Cxl.Tests.Kernel;

namespace Moebius.Cxl.Tests.Hints;

/// <summary>Extended attributes on real cgroups.</summary>
public sealed partial class CgroupAttributeTests
{
    [Fact]
    public void An_attribute_is_read_from_the_cgroup_that_carries_it()
    {
        var hierarchy = Unified();
        using var group = new TemporaryCgroup(hierarchy);
        using var plain = new TemporaryCgroup(hierarchy);
        var value = Encoding.UTF8.GetBytes("write-heavy");
        Assert.SkipUnless(setxattr(group.Path, HintResolver.Attribute, value, (nuint)value.Length, 0) == 0, $"the kernel keeps no attributes on cgroups: errno {Marshal.GetLastPInvokeError()}");
        var paths = hierarchy.Scan();
        Assert.Equal("write-heavy", hierarchy.Attributes(paths, HintResolver.Attribute)[group.Id]);
        Assert.DoesNotContain(plain.Id, hierarchy.Attributes(paths, HintResolver.Attribute).Keys);
        var tooLong = new byte[200];
        Assert.Equal(0, setxattr(group.Path, HintResolver.Attribute, tooLong, (nuint)tooLong.Length, 0));
        Assert.Null(HintResolver.ParseIntent(hierarchy.Attributes(paths, HintResolver.Attribute)[group.Id]));
    }

    [Fact]
    public void A_cgroup_that_vanishes_between_two_looks_is_passed_over()
    {
        var hierarchy = Unified();
        Dictionary<ulong, string> paths;
        using (new TemporaryCgroup(hierarchy))
            paths = hierarchy.Scan();
        var before = hierarchy.Vanished;
        Assert.Empty(hierarchy.Attributes(paths, HintResolver.Attribute));
        Assert.True(hierarchy.Vanished > before, "it is not counted");
    }

    [Fact]
    public async Task Cgroups_that_come_and_go_during_a_scan_disturb_nothing()
    {
        var hierarchy = Unified();
        using var stop = new CancellationTokenSource();
        var churn = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
                new TemporaryCgroup(hierarchy).Dispose();
        });
        using var stays = new TemporaryCgroup(hierarchy);
        for (var i = 0; i < 200; i++)
        {
            var paths = hierarchy.Scan();
            Assert.Contains(stays.Id, paths.Keys);
            hierarchy.Attributes(paths, HintResolver.Attribute);
        }

        await stop.CancelAsync();
        await churn;
    }

    private static CgroupHierarchy Unified()
    {
        string[] places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        var place = places.FirstOrDefault(place => File.Exists($"{place}/cgroup.controllers"));
        Assert.SkipUnless(place is not null, "the unified cgroup hierarchy is not mounted");
        return CgroupHierarchy.Find(place, "/sys")!;
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int setxattr(string path, string name, byte[] value, nuint size, int flags);
}
