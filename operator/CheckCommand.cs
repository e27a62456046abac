using System.CommandLine;
using System.Globalization;
using k8s;
using k8s.Autorest;
using Moebius.Crds;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator;

/// <summary>
/// <c>moebius operator check</c>: whether an installation works, asked with the operator's own rights. The chart's test runs
/// it. It needs the API server alone, no name service.
/// </summary>
internal static class CheckCommand
{
    public static Command Create(Func<string?, KubernetesClientConfiguration> configuration)
    {
        var kubeconfig = new Option<string?>("--kubeconfig") { Description = "Kubeconfig file. Without it: the pod's service account, or the user's default." };
        var @namespace = new Option<string>("--namespace") { Description = "The one namespace that the operator works in, or 'all'.", DefaultValueFactory = _ => OperatorCommands.AllNamespaces };
        var operatorNamespace = new Option<string>("--operator-namespace") { Description = "Namespace of the operator's Lease.", DefaultValueFactory = _ => OperatorSettings.DefaultNamespace };
        var leaderElect = new Option<bool>("--leader-elect") { Description = "Whether the operator holds a Lease.", DefaultValueFactory = _ => true };
        var timeout = new Option<string>("--timeout") { Description = "How long to wait for a leader.", DefaultValueFactory = _ => "60s" };
        var command = new Command("check", "Checks that the custom resources are served, that the operator may read them, and that one leads.") { kubeconfig, @namespace, operatorNamespace, leaderElect, timeout };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var (one, home, wait) = (OperatorCommands.Namespace(parsed.GetValue(@namespace)!, "--namespace"), OperatorCommands.Namespace(parsed.GetValue(operatorNamespace)!, "--operator-namespace"), Durations.Parse(parsed.GetValue(timeout)!, "--timeout"));
            using var kubernetes = new Kubernetes(configuration(parsed.GetValue(kubeconfig)));
            var watched = one == OperatorCommands.AllNamespaces ? null : one;
            var isGood = await ResourcesAsync(kubernetes, watched, Console.Out, cancellationToken).ConfigureAwait(false);
            if (parsed.GetValue(leaderElect))
                isGood &= await LeaderAsync(kubernetes, home, Leadership.LeaseOf(watched), wait, TimeProvider.System, Console.Out, cancellationToken).ConfigureAwait(false);
            return isGood ? 0 : 1;
        });
        return command;
    }

    /// <summary>Lists one object of every kind.</summary>
    internal static async Task<bool> ResourcesAsync(IKubernetes kubernetes, string? @namespace, TextWriter output, CancellationToken cancellationToken)
    {
        var isGood = true;
        foreach (var kind in ResourceKinds.All)
        {
            try
            {
                _ = @namespace is null || !kind.Namespaced
                    ? await kubernetes.CustomObjects.ListClusterCustomObjectAsync(ApiGroup.Name, ApiGroup.Version, kind.Plural, limit: 1, cancellationToken: cancellationToken).ConfigureAwait(false)
                    : await kubernetes.CustomObjects.ListNamespacedCustomObjectAsync(ApiGroup.Name, ApiGroup.Version, @namespace, kind.Plural, limit: 1, cancellationToken: cancellationToken).ConfigureAwait(false);
                await output.WriteLineAsync($"{kind.Plural}: served and readable").ConfigureAwait(false);
            }
            catch (HttpOperationException error)
            {
                isGood = false;
                await output.WriteLineAsync($"{kind.Plural}: {(int)error.Response.StatusCode} {Advice(error.Response.StatusCode)}").ConfigureAwait(false);
            }
        }

        return isGood;
    }

    /// <summary>Waits until somebody holds the Lease and has renewed it in time.</summary>
    internal static async Task<bool> LeaderAsync(IKubernetes kubernetes, string @namespace, string lease, TimeSpan timeout, TimeProvider time, TextWriter output, CancellationToken cancellationToken)
    {
        var begun = time.GetTimestamp();
        while (true)
        {
            var found = await LeaseAsync(kubernetes, @namespace, lease, time.GetUtcNow(), cancellationToken).ConfigureAwait(false);
            if (found.IsLed || time.GetElapsedTime(begun) >= timeout)
            {
                await output.WriteLineAsync($"lease {@namespace}/{lease}: {found.Text}").ConfigureAwait(false);
                return found.IsLed;
            }

            await Task.Delay(TimeSpan.FromSeconds(1), time, cancellationToken).ConfigureAwait(false);
        }
    }

    private static async Task<(bool IsLed, string Text)> LeaseAsync(IKubernetes kubernetes, string @namespace, string name, DateTimeOffset now, CancellationToken cancellationToken)
    {
        try
        {
            var lease = (await kubernetes.CoordinationV1.ReadNamespacedLeaseAsync(name, @namespace, cancellationToken: cancellationToken).ConfigureAwait(false)).Spec;
            if (string.IsNullOrEmpty(lease?.HolderIdentity) || lease.RenewTime is not { } renewed)
                return (false, "nobody leads");
            var age = now - renewed;
            return age <= TimeSpan.FromSeconds(lease.LeaseDurationSeconds ?? 15)
                ? (true, $"{lease.HolderIdentity} leads")
                : (false, string.Create(CultureInfo.InvariantCulture, $"{lease.HolderIdentity} has not renewed it for {age.TotalSeconds:0} s: look at the operator's pods"));
        }
        catch (HttpOperationException error)
        {
            return (false, error.Response.StatusCode == System.Net.HttpStatusCode.NotFound ? "there is none: no operator has led yet" : $"{(int)error.Response.StatusCode} {Advice(error.Response.StatusCode)}");
        }
    }

    private static string Advice(System.Net.HttpStatusCode code) => code switch
    {
        System.Net.HttpStatusCode.NotFound => "not served: install the chart moebius-crds",
        System.Net.HttpStatusCode.Forbidden => "not allowed: the operator's roles are missing or not bound",
        _ => code.ToString(),
    };
}
