using System.Net;
using System.Text.Json.Nodes;
using k8s;
using k8s.Autorest;
using k8s.LeaderElection;
using k8s.LeaderElection.ResourceLock;
using k8s.Models;
using Microsoft.Extensions.Logging;

namespace Moebius.Operator.Runtime;

/// <summary>
/// Leads while it holds a Lease. Work is cancelled the moment the Lease is lost, and the Lease is given back on a
/// graceful stop, so that the next one need not wait for it to run out.
/// </summary>
[EntityRbac(typeof(V1Lease), Verbs = RbacVerbs.Get | RbacVerbs.Create | RbacVerbs.Update | RbacVerbs.Patch, OperatorNamespaceOnly = true)]
internal sealed class Leadership(IKubernetes kubernetes, ApiClient api, string @namespace, string? watched, string identity, OperatorMetrics metrics, ILogger<Leadership> logger)
{
    private readonly string _lease = LeaseOf(watched);

    /// <summary>Name of the Lease. Operators of different namespaces work beside each other, also from one namespace.</summary>
    /// <param name="watched">The only namespace that is worked in; null for all.</param>
    public static string LeaseOf(string? watched) => watched is null ? "moebius-operator" : $"moebius-operator-{watched}";

    /// <summary>Campaigns, works while leading, and returns when stopped or when the Lease was lost.</summary>
    /// <returns>False when the Lease was lost.</returns>
    public async Task<bool> RunAsync(Func<CancellationToken, Task> lead, CancellationToken cancellationToken)
    {
        using var term = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var work = Task.CompletedTask;
        var led = false;
        using var elector = new LeaderElector(new LeaderElectionConfig(new PatientLock(new LeaseLock(kubernetes, @namespace, _lease, identity)))
        {
            LeaseDuration = TimeSpan.FromSeconds(15),
            RenewDeadline = TimeSpan.FromSeconds(10),
            RetryPeriod = TimeSpan.FromSeconds(2),
        });
        elector.OnStartedLeading += () =>
        {
            led = true;
            metrics.Leader.Set(1);
            logger.LogInformation("{Identity} leads", identity);
            work = Task.Run(() => lead(term.Token), CancellationToken.None);
        };
        elector.OnNewLeader += leader => logger.LogInformation("The leader is {Leader}", leader);
        elector.OnError += error =>
        {
            // A Lease that does not exist yet is reported as an error; it is made next.
            if (error is not HttpOperationException { Response.StatusCode: HttpStatusCode.NotFound } && !term.IsCancellationRequested)
                logger.LogWarning("Leader election: {Error}", error.Message);
        };
        try
        {
            await elector.RunUntilLeadershipLostAsync(term.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Stopping.
        }

        // Ends the elector's last attempt too, which might otherwise win a Lease that nobody works under.
        await term.CancelAsync().ConfigureAwait(false);
        await work.ConfigureAwait(false);
        metrics.Leader.Set(0);
        if (!cancellationToken.IsCancellationRequested)
        {
            logger.LogError("{Identity} has lost its lease", identity);
            return false;
        }

        if (led)
            await ReleaseAsync().ConfigureAwait(false);
        return true;
    }

    private async Task ReleaseAsync()
    {
        var path = $"apis/coordination.k8s.io/v1/namespaces/{@namespace}/leases/{_lease}";
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        try
        {
            var lease = await api.GetAsync(path, patience.Token).ConfigureAwait(false);
            if ((string?)lease["spec"]?["holderIdentity"] != identity)
                return;
            await api.MergeAsync(
                path,
                new JsonObject
                {
                    ["metadata"] = new JsonObject { ["resourceVersion"] = (string?)lease["metadata"]?["resourceVersion"] },
                    ["spec"] = new JsonObject { ["holderIdentity"] = "", ["leaseDurationSeconds"] = 1 },
                },
                patience.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (error is ApiException or HttpRequestException or IOException or TimeoutException or OperationCanceledException)
        {
            logger.LogDebug("The lease was not given back: {Error}", error.Message);
        }
    }
}
