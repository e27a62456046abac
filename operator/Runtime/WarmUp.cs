using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Controllers;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Rehearses reconciliations before an API server that only echoes, so that their code is compiled by the time the caches are
/// filled. Else the first resources, many at once after a start, would each wait for the compiler, and all of them run code
/// that is not optimized yet: the runtime optimizes what has been called 30 times, in pauses of 100 ms.
/// </summary>
internal static class WarmUp
{
    private const int Rounds = 3;
    private const int Calls = 32;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(150);

    /// <summary>No rehearsal may keep an operator from starting.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private static int begun;

    /// <summary>Warms up; once is enough for a process.</summary>
    public static async Task RunAsync(OperatorSettings settings, ServerCapabilities server)
    {
        if (Interlocked.Exchange(ref begun, 1) == 0)
            await RehearseAsync(settings, server).ConfigureAwait(false);
    }

    /// <summary>Rehearses.</summary>
    /// <returns>Requests that the echo has answered.</returns>
    internal static async Task<int> RehearseAsync(OperatorSettings settings, ServerCapabilities server)
    {
        // Everything that is counted, cached or logged here belongs to the rehearsal and goes with it.
        using var stop = new CancellationTokenSource(Patience);
        using var echo = new EchoHandler(Calls);
        using var kubernetes = new Kubernetes(new KubernetesClientConfiguration { Host = "http://rehearsal.invalid" }, echo);
        var (time, metrics, logs) = (TimeProvider.System, new OperatorMetrics(), NullLoggerFactory.Instance);
        var api = new ApiClient(kubernetes, metrics);
        var informers = new Informers(api, null, time, metrics, logs);
        var events = new EventRecorder(api, "rehearsal", time, NullLogger<EventRecorder>.Instance);
        using var http = new HttpClient();
        var context = new ControllerContext(settings, api, informers, new ChildApplier(api, informers, metrics, NullLogger<ChildApplier>.Instance), events, metrics, new PodReports(http), time) { Server = server };
        using var loop = new ControllerLoop<MoEDeployment>(MoEDeploymentController.Name, informers.MoEDeployments.Cache, new MoEDeploymentController(context), null, api, time, metrics, new WorkGap(time), NullLogger.Instance);
        var working = Task.WhenAll(loop.RunAsync(1, stop.Token), events.RunAsync(stop.Token));
        try
        {
            for (var round = 0; round < Rounds; round++)
            {
                var done = echo.NextRoundAsync(stop.Token);
                for (var call = 0; call < Calls; call++)
                    informers.MoEDeployments.Cache.Set(Resource($"warm-up-{round}-{call}"));
                await done.ConfigureAwait(false);
                await Task.Delay(Pause, stop.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // A machine this slow has other worries.
        }

        await stop.CancelAsync().ConfigureAwait(false);
        await working.ConfigureAwait(false);
        return echo.Answered;
    }

    private static MoEDeployment Resource(string name) => new()
    {
        ApiVersion = $"{ApiGroup.Name}/{ApiGroup.Version}",
        Kind = MoEDeployment.KindName,
        Metadata = new V1ObjectMeta { Name = name, NamespaceProperty = "default", Uid = name, Generation = 1, ResourceVersion = "1" },
        Spec = new MoEDeploymentSpec { Model = new ModelSpec { Source = new ModelSource { HostPath = new HostPathModel { Path = "/warm-up" } } } },
    };
}
