using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Crds.Host;
using Prometheus;

namespace Moebius.Operator.Runtime;

/// <summary><c>/healthz</c>, <c>/readyz</c> (the caches are filled) and <c>/metrics</c>.</summary>
internal static class HealthServer
{
    /// <exception cref="UserInputException">The address cannot be listened on.</exception>
    public static async Task<WebApplication> StartAsync(IPEndPoint listen, Func<bool> isReady, CollectorRegistry registry, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(server =>
        {
            server.Limits.MaxConcurrentConnections = ServerLimits.Programs;
            server.Listen(listen);
        });
        var app = builder.Build();
        app.MapGet("/healthz", () => Results.Text("ok\n"));
        app.MapGet("/readyz", () => isReady() ? Results.Text("ok\n") : Results.Text("the caches are not filled yet\n", statusCode: StatusCodes.Status503ServiceUnavailable));
        app.MapMetrics("/metrics", registry);
        try
        {
            await app.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            await app.DisposeAsync().ConfigureAwait(false);
            if (error is IOException or SocketException)
                throw new UserInputException($"--listen: cannot listen on {listen}: {error.Message}", error);
            throw;
        }

        return app;
    }
}
