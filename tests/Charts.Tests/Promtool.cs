using Moebius.KubernetesEnvironment;

namespace Moebius.Charts.Tests;

/// <summary>Prometheus' own checker.</summary>
internal static class Promtool
{
    private static readonly Lazy<Task<CommandResult>> Located = new(() => Tool.RunAsync(RepositoryFiles.At("tests/Charts.Tests/promtool.sh"), []));

    public static async Task<CommandResult> RunAsync(params string[] arguments)
    {
        var located = await Located.Value;
        Assert.SkipUnless(located.ExitCode != 3, located.StandardError.Trim());
        return await Tool.RunAsync(located.EnsureSuccess().StandardOutput.Trim(), arguments);
    }
}
