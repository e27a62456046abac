using System.Diagnostics;
using Moebius.Cxl.Telemetry;

namespace Moebius.Cxl.Tests.Kernel;

/// <summary>A cgroup of its own, removed with this object.</summary>
internal sealed class TemporaryCgroup : IDisposable
{
    public TemporaryCgroup(CgroupHierarchy hierarchy)
    {
        Path = System.IO.Path.Combine(hierarchy.Root, $"moebius-test-{Guid.NewGuid():N}");
        Directory.CreateDirectory(Path);
        Id = CgroupHierarchy.Id(Path)!.Value;
    }

    public string Path { get; }

    public ulong Id { get; }

    public Process Start(string script) =>
        Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"echo $$ > {Path}/cgroup.procs; {script}"]) { RedirectStandardError = true })!;

    public void Run(string script)
    {
        using var process = Start(script);
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    public void Dispose()
    {
        for (var i = 0; Directory.Exists(Path); i++)
        {
            try
            {
                Directory.Delete(Path);
            }
            catch (IOException) when (i < 100)
            {
                Thread.Sleep(10); // a dead process may still be leaving
            }
        }
    }
}
