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

    /// <summary>Any program, with no cluster and no settings of the user's own.</summary>
    public static Task<CommandResult> RunAsync(string program, IEnumerable<string> arguments, params (string Name, string Value)[] environment) =>
        Command.RunAsync(program, arguments, environment: environment.Append(("KUBECONFIG", "/dev/null")).ToDictionary());
}
