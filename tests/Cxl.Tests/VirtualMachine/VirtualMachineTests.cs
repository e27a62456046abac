using System.Diagnostics;

namespace Moebius.Cxl.Tests.VirtualMachine;

/// <summary>
/// What only another kernel can show: the emulated CXL device and the sched_ext scheduler, and the observer on an old
/// kernel, in virtual machines that build/vm/test.sh boots. These are the short lists; <c>make test-vm</c> has the rest.
/// </summary>
public sealed class VirtualMachineTests(ITestOutputHelper output)
{
    private const int MachineMissing = 3;

    [Theory]
    [Trait("Category", "VirtualMachine")]
    [InlineData("short", 7)]
    [InlineData("observer", 4)]
    public async Task The_list_passes_in_the_virtual_machine(string list, int checks)
    {
        var script = RepositoryFiles.At("build/vm/test.sh");
        using var process = Process.Start(new ProcessStartInfo(script, ["Release", list]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var lines = (await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        foreach (var line in lines)
            output.WriteLine(line);
        Assert.SkipWhen(process.ExitCode == MachineMissing, $"no virtual machine: {(await errors).TrimEnd().Split('\n')[^1]}");
        Assert.True(process.ExitCode == 0, string.Join('\n', [.. lines.Where(line => line.StartsWith("FAIL", StringComparison.Ordinal)), await errors]));
        Assert.Equal(checks, lines.Count(line => line.StartsWith("PASS", StringComparison.Ordinal)));
    }
}
