using System.Collections.Concurrent;
using Moebius.KubernetesEnvironment;

namespace Moebius.Charts.Tests;

/// <summary>Programs that Debian has: Prometheus and its checker, Lua.</summary>
internal static class DebianTool
{
    private static readonly ConcurrentDictionary<string, Lazy<Task<CommandResult>>> Located = new();

    /// <summary>The path of a command; the test is skipped where it cannot be had.</summary>
    public static async Task<string> LocateAsync(string command, string package)
    {
        var located = await Located.GetOrAdd(command, _ => new(() => Tool.RunAsync(RepositoryFiles.At("tests/Charts.Tests/debian_tool.sh"), [command, package]))).Value;
        Assert.SkipUnless(located.ExitCode != 3, located.StandardError.Trim());
        return located.EnsureSuccess().StandardOutput.Trim();
    }

    public static async Task<CommandResult> PromtoolAsync(params string[] arguments) => await Tool.RunAsync(await LocateAsync("promtool", "prometheus"), arguments);
}
