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
        string[] places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        var place = places.FirstOrDefault(place => File.Exists($"{place}/cgroup.controllers"));
        Assert.SkipUnless(place is not null, "the unified cgroup hierarchy is not mounted");
        var hierarchy = CgroupHierarchy.Find(place, "/sys")!;
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
        var hierarchy = CgroupHierarchy.Find(null, "/sys");
        Assert.SkipUnless(hierarchy is not null, "no cgroup hierarchy is mounted");
        Dictionary<ulong, string> paths;
        using (new TemporaryCgroup(hierarchy))
            paths = hierarchy.Scan();
        Assert.Empty(hierarchy.Attributes(paths, HintResolver.Attribute));
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int setxattr(string path, string name, byte[] value, nuint size, int flags);
}
