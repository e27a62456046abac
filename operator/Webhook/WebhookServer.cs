using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Controllers;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Webhook;

/// <summary>A webhook that runs, with what keeps its certificate.</summary>
internal sealed record WebhookProcess(CertificateKeeper Keeper, WebApplication Server, CancellationTokenSource Stop, Task Keeping) : IAsyncDisposable
{
    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        await Stop.CancelAsync().ConfigureAwait(false);
        await Server.DisposeAsync().ConfigureAwait(false);
        await Keeping.ConfigureAwait(false);
        Keeper.Dispose();
        Stop.Dispose();
    }
}

/// <summary>Answers the API server over HTTPS.</summary>
internal static class WebhookServer
{
    /// <summary>More than etcd takes.</summary>
    private const long MaxBody = 4 << 20;

    /// <exception cref="UserInputException">The address cannot be listened on.</exception>
    public static async Task<WebApplication> StartAsync(WebhookOptions options, CertificateKeeper certificates, ControllerContext context, OperatorMetrics metrics, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration().ConfigureKestrel(server =>
        {
            server.Limits.MaxRequestBodySize = MaxBody;
            server.Limits.MaxConcurrentConnections = ServerLimits.Programs;
            server.Listen(options.Listen, listen => listen.UseHttps(https => https.ServerCertificateSelector = (_, _) => certificates.Current));
        });
        var app = builder.Build();
        var view = new View(context);
        app.MapPost(WebhookOptions.Path, async (HttpContext http) =>
        {
            JsonNode? review;
            try
            {
                review = await JsonNode.ParseAsync(http.Request.Body, cancellationToken: http.RequestAborted).ConfigureAwait(false);
            }
            catch (JsonException)
            {
                review = null;
            }

            if (AdmissionReview.Read(review) is not var (uid, value, before))
                return Results.Text("not an AdmissionReview of admission.k8s.io/v1 with an object\n", statusCode: StatusCodes.Status400BadRequest);
            var verdict = AdmissionCheck.Judge(value, before, context.Settings, view);
            metrics.Admissions.WithLabels(AdmissionReview.Kind(value), verdict.Errors.Count == 0 ? "allowed" : "refused").Inc();
            return Results.Text(AdmissionReview.Answer(uid, verdict).ToJsonString(), "application/json");
        });
        try
        {
            await app.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            await app.DisposeAsync().ConfigureAwait(false);
            throw new UserInputException($"--webhook-listen: cannot listen on {options.Listen}: {error.Message}", error);
        }

        return app;
    }

    private sealed class View(ControllerContext context) : IAdmissionView
    {
        public ServerCapabilities Server => context.Server;

        public IReadOnlyList<MemorySchedulingProfile> Profiles => context.Informers.Profiles.Cache.List();

        public T? Find<T>(string? @namespace, string name)
            where T : class, IKubernetesObject<V1ObjectMeta>
        {
            var key = new ObjectKey(@namespace, name);
            return typeof(T) == typeof(KVPrivacyPolicy) ? context.Informers.Policies.Cache.Find(key) as T
                : typeof(T) == typeof(MemorySchedulingProfile) ? context.Informers.Profiles.Cache.Find(key) as T
                : typeof(T) == typeof(MoEDeployment) ? context.Informers.MoEDeployments.Cache.Find(key) as T
                : context.Informers.Optimizers.Cache.Find(key) as T;
        }
    }
}
