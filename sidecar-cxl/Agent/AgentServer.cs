using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Moebius.Crds.Host;
using k8s;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Cxl.Hints;
using Prometheus;

namespace Moebius.Cxl.Agent;

/// <summary>The agent as a process: ticks and answers HTTP until it is told to stop.</summary>
internal static class AgentServer
{
    private static readonly TimeSpan PodInterval = TimeSpan.FromSeconds(15);

    /// <summary>The JSON of a report: the project's dialect, indented.</summary>
    public static JsonSerializerOptions Json { get; } = new(Manifests.Json) { WriteIndented = true };

    /// <summary>Runs until SIGTERM or SIGINT.</summary>
    public static async Task RunAsync(AgentOptions options, IPEndPoint listen, CancellationToken cancellation)
    {
        await using var app = Build(options, listen, options.NodeName is null ? null : new Kubernetes(ClusterAccess.Find(options.Kubeconfig)));
        try
        {
            await app.StartAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception error) when (error is SocketException or IOException { InnerException: AddressInUseException })
        {
            throw new UserInputException($"--listen: cannot listen on {listen}: {error.Message}", error);
        }

        await app.WaitForShutdownAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Builds the application; the agent starts with it.</summary>
    public static WebApplication Build(AgentOptions options, IPEndPoint listen, IKubernetes? cluster = null)
    {
        WebApplication? app = null;
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxConcurrentConnections = ServerLimits.Programs;
            kestrel.Listen(listen);
        });
        builder.Logging.ClearProviders().AddLines(options.LogFormat)
            .AddFilter("Microsoft.AspNetCore", LogLevel.Warning)
            // What keeps the host from starting is thrown, and told in one line.
            .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", level => level >= LogLevel.Warning && app?.Lifetime.ApplicationStarted.IsCancellationRequested == true);
        builder.Services.Configure<ConsoleLifetimeOptions>(static console => console.SuppressStatusMessages = true);
        builder.Services.AddSingleton<AgentMetrics>();
        if (cluster is not null && options.NodeName is { } node)
        {
            builder.Services.AddSingleton(services => new PodWatch(cluster, node, options.Config.Workloads ?? [], PodInterval, services.GetRequiredService<ILogger<PodWatch>>(), options.Config.Policy.AnnotationIntents));
            builder.Services.AddHostedService(services => services.GetRequiredService<PodWatch>());
            builder.Services.AddSingleton(services => new NodeEvents(cluster, node, TimeProvider.System, services.GetRequiredService<ILogger<NodeEvents>>()));
            builder.Services.AddHostedService(services => services.GetRequiredService<NodeEvents>());
        }

        builder.Services.AddSingleton(services => new NodeAgent(options, services.GetRequiredService<AgentMetrics>(), services.GetRequiredService<ILogger<NodeAgent>>(), services.GetService<PodWatch>(), services.GetService<NodeEvents>()));
        builder.Services.AddHostedService<Ticker>();
        app = builder.Build();
        var agent = app.Services.GetRequiredService<NodeAgent>();
        app.MapGet("/healthz", () => Results.Text("ok\n"));
        app.MapGet("/readyz", () => agent.Status is { Ready: false } status
            ? Results.Text($"{status.Reason}: {status.Message}\n", statusCode: StatusCodes.Status503ServiceUnavailable)
            : Results.Text("ok\n"));
        app.MapGet("/status", () => Results.Json(agent.Status, Json));
        app.MapMetrics(registry: app.Services.GetRequiredService<AgentMetrics>().Registry);
        return app;
    }

    private sealed class Ticker(NodeAgent agent, TimeProvider? time = null) : BackgroundService
    {
        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            using var timer = new PeriodicTimer(agent.Interval, time ?? TimeProvider.System);
            try
            {
                do
                    agent.Tick();
                while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false));
            }
            catch (OperationCanceledException)
            {
                // Told to stop.
            }
        }
    }
}
