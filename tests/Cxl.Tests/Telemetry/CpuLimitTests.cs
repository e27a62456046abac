using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Tests.Telemetry;

public sealed class CpuLimitTests
{
    [Theory]
    [InlineData("cgroup.controllers", "cpu.max", "max 100000", "20000 100000")]
    [InlineData("version 1", "cpu.cfs_quota_us", "-1", "20000")]
    public void Cgroups_with_a_CPU_limit_are_counted(string marker, string file, string free, string limited)
    {
        var root = Directory.CreateTempSubdirectory("moebius-cgroups-");
        try
        {
            File.WriteAllText(Path.Combine(root.FullName, "cgroup.procs"), "");
            File.WriteAllText(Path.Combine(root.FullName, marker), "");
            foreach (var (name, text) in new[] { ("a", free), ("b", limited), ("c", limited), ("none", null) })
            {
                var group = root.CreateSubdirectory(name).FullName;
                if (text is not null)
                    File.WriteAllText(Path.Combine(group, file), $"{text}\n");
            }

            var hierarchy = CgroupHierarchy.Find(root.FullName, "/sys")!;
            Assert.Equal(0, hierarchy.CpuLimited(["/", "/a", "/none", "/gone"]));
            Assert.Equal(2, hierarchy.CpuLimited(["/", "/a", "/b", "/c", "/none"]));
        }
        finally
        {
            root.Delete(recursive: true);
        }
    }
}
