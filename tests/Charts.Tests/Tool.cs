using System.Diagnostics;
using Moebius.KubernetesEnvironment;

namespace Moebius.Charts.Tests;

/// <summary>Runs helm, kubectl and scripts without a server.</summary>
internal static class Tool
{
    /// <summary>Helm; skips the test that asks when it is not there.</summary>
    public static async Task<CommandResult> HelmAsync(params string[] arguments) =>
        await RunAsync((await KubernetesAssets.FindAsync()).Program("helm"), arguments);

    public static async Task<CommandResult> KubectlAsync(params string[] arguments) =>
        await RunAsync((await KubernetesAssets.FindAsync()).Program("kubectl"), arguments);

    public static async Task<CommandResult> RunAsync(string program, IEnumerable<string> arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        // No cluster and no settings of the user's own.
        start.Environment["KUBECONFIG"] = "/dev/null";
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return new CommandResult($"{Path.GetFileName(program)} {string.Join(' ', start.ArgumentList)}", process.ExitCode, await output, await error);
    }
}
