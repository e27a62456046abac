using System.Text.Json;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Controllers;
using Moebius.Operator.Planning;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Rehearses reconciliations before an API server that only echoes, and requests before the real one, so that their code is
/// compiled by the time the caches are filled. Else the first resources, many at once after a start, would each wait for the
/// compiler, and then share a processor with it: the runtime compiles libraries' code again once it has been called 30 times.
/// </summary>
internal static class WarmUp
{
    private const int Rounds = 3;
    private const int Calls = 32;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(150);

    /// <summary>No rehearsal may keep an operator from starting.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private static int _begun;

    /// <summary>Warms up; once is enough for a process.</summary>
    /// <param name="settings">As controllers have them.</param>
    /// <param name="api">The real server.</param>
    /// <param name="connections">Requests at a time that it will get.</param>
    /// <param name="server">What it can do.</param>
    public static async Task RunAsync(OperatorSettings settings, ApiClient api, int connections, ServerCapabilities server)
    {
        if (Interlocked.Exchange(ref _begun, 1) != 0)
            return;
        await Task.WhenAll(RehearseAsync(settings, server), ConnectAsync(api, connections)).ConfigureAwait(false);
    }

    /// <summary>Opens connections to the real server, and asks each of them often enough for what reads and encrypts to be compiled again.</summary>
    private static async Task ConnectAsync(ApiClient api, int connections)
    {
        using var stop = new CancellationTokenSource(Patience);
        var calls = (int)Math.Ceiling((double)Calls / connections) + 1;
        await Task.WhenAll(Enumerable.Range(0, connections).Select(async _ =>
        {
            try
            {
                for (var call = 0; call < calls; call++)
                    await api.GetAsync("version", stop.Token).ConfigureAwait(false);
            }
            catch (Exception error) when (error is ApiException or HttpRequestException or IOException or TimeoutException or JsonException or OperationCanceledException)
            {
                // Who needs the server next will say what is wrong with it.
            }
        })).ConfigureAwait(false);
    }

    /// <summary>Rehearses.</summary>
    /// <returns>Requests that the echo has answered.</returns>
    internal static async Task<int> RehearseAsync(OperatorSettings settings, ServerCapabilities server, TimeSpan? patience = null)
    {
        // Everything that is counted, cached or logged here belongs to the rehearsal and goes with it.
        using var stop = new CancellationTokenSource(patience ?? Patience);
        using var echo = new EchoServer(Calls);
        using var kubernetes = new Kubernetes(new KubernetesClientConfiguration { Host = "http://rehearsal.invalid" }, echo);
        var (time, metrics, logs) = (TimeProvider.System, new OperatorMetrics(), NullLoggerFactory.Instance);
        var api = new ApiClient(kubernetes, metrics);
        var informers = new Informers(api, null, time, metrics, logs);
        var events = new EventRecorder(api, "rehearsal", time, NullLogger<EventRecorder>.Instance);
        using var http = new HttpClient();
        var context = new ControllerContext(settings, api, informers, new ChildApplier(api, informers.Children, metrics, time, NullLogger<ChildApplier>.Instance), events, metrics, new PodReports(http), time) { Server = server };
        using var loop = new ControllerLoop<MoEDeployment>(MoEDeploymentController.Name, informers.MoEDeployments.Cache, new MoEDeploymentController(context), null, api, time, metrics, new WorkGap(time), NullLogger.Instance);
        var working = Task.WhenAll(loop.RunAsync(1, stop.Token), events.RunAsync(stop.Token));
        var collection = ResourceType.Of<MoEDeployment>().Collection(null);
        try
        {
            await informers.StartAsync(server, stop.Token).ConfigureAwait(false);
            await informers.SyncedAsync(stop.Token).ConfigureAwait(false);
            for (var round = 0; round < Rounds; round++)
            {
                var done = echo.NextRoundAsync(stop.Token);
                for (var call = 0; call < Calls; call++)
                    await echo.TellAsync(collection, "ADDED", WireJson.ToNode(Resource($"warm-up-{round}-{call}"))).ConfigureAwait(false);
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
        await informers.StoppedAsync().ConfigureAwait(false);
        return echo.Answered;
    }

    private static MoEDeployment Resource(string name) => new()
    {
        ApiVersion = ApiGroup.ApiVersion,
        Kind = MoEDeployment.KindName,
        Metadata = new V1ObjectMeta { Name = name, NamespaceProperty = "default", Uid = name, Generation = 1 },
        Spec = new MoEDeploymentSpec { Model = new ModelSpec { Source = new ModelSource { HostPath = new HostPathModel { Path = "/warm-up" } } } },
    };
}
