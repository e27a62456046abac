using System.Data.Common;
using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.PromptOptimizer.Api;
using Moebius.PromptOptimizer.Jobs;
using Moebius.PromptOptimizer.Models;
using Moebius.PromptOptimizer.Models.Clip;
using Prometheus;

namespace Moebius.PromptOptimizer;

/// <summary>Puts the service together.</summary>
internal static class PromptService
{
    public static WebApplication Build(OptimizerSettings settings, string? dataFolder, IPEndPoint listen, CallTiming? callTiming = null, JobTiming? jobTiming = null, LogFormat log = LogFormat.Text)
    {
        // First, and then the store: what is wrong with them is the user's to mend, and is said in one line.
        var clip = settings.ClipFolder is { } folder ? LoadClip(folder) : null;
        var database = OpenStore(settings, dataFolder);
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders().AddLines(log);
        WebApplication? app = null;
        // What keeps the host from starting is thrown, and told in one line.
        builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning)
            .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", level => level >= LogLevel.Warning && app?.Lifetime.ApplicationStarted.IsCancellationRequested == true);
        builder.WebHost.UseKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 1024 * 1024;
            kestrel.Limits.MaxConcurrentConnections = ServerLimits.Clients;
            kestrel.Listen(listen);
        });
        builder.Services.Configure<ConsoleLifetimeOptions>(static console => console.SuppressStatusMessages = true);
        // Jobs are put back at once; this bounds the answers still on their way to clients.
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromSeconds(10));

        var services = builder.Services;
        var time = TimeProvider.System;
        var metrics = new PromptMetrics();
        services.AddSingleton(settings).AddSingleton(time).AddSingleton(metrics).AddSingleton(jobTiming ?? JobTiming.Default);
        // Asked for there, so that it is closed with the service.
        services.AddSingleton(_ => database).AddSingleton(provider => new JobStore(provider.GetRequiredService<Database>(), time, settings.Jobs.MaxWaiting));
        services.AddSingleton<Pulse>().AddSingleton<JobPulses>().AddSingleton<JobRunner>().AddSingleton<RoundWorker>().AddSingleton<JobEvents>().AddSingleton<JobsApi>();
        services.AddSingleton(_ => new ModelClients(settings, callTiming ?? CallTiming.Default, time, metrics, clip));
        services.AddSingleton(provider => provider.GetRequiredService<ModelClients>().Models);
        services.AddSingleton<JobDispatcher>().AddHostedService(provider => provider.GetRequiredService<JobDispatcher>());
        if (database.IsShared)
            services.AddHostedService<StoreWatch>();

        app = builder.Build();
        var store = app.Services.GetRequiredService<JobStore>();
        var pulse = app.Services.GetRequiredService<Pulse>();
        var pulses = app.Services.GetRequiredService<JobPulses>();
        store.Changed += _ => pulse.Beat();
        store.Changed += pulses.Beat;
        store.Ended += metrics.JobEnded;
        store.Deleted += metrics.JobsDeleted;
        metrics.ReadJobsFrom(store);
        Map(app, metrics, listen.Address);
        return app;
    }

    /// <summary>Starts the service; a port that is taken is the user's to mend.</summary>
    public static async Task StartAsync(WebApplication app, IPEndPoint listen, CancellationToken cancel)
    {
        try
        {
            await app.StartAsync(cancel).ConfigureAwait(false);
        }
        catch (IOException error) when (error.InnerException is AddressInUseException)
        {
            throw new UserInputException($"--listen: {listen} is already in use: give another port", error);
        }
        catch (System.Net.Sockets.SocketException error)
        {
            throw new UserInputException($"--listen: {listen} cannot be used: {error.Message}", error);
        }
    }

    private static Database OpenStore(OptimizerSettings settings, string? folder) => (settings.Store, folder) switch
    {
        ({ } connection, null) => new PostgresDatabase(connection),
        (null, { } file) => new SqliteDatabase(file),
        (null, null) => throw new UserInputException("--data: is not set, and store Sqlite keeps its file there: give a folder"),
        _ => throw new UserInputException("--data: has no effect with store PostgreSQL: leave it out"),
    };

    private static ClipModel LoadClip(string folder)
    {
        try
        {
            return ClipModel.Load(folder);
        }
        catch (UserInputException error)
        {
            throw new UserInputException($"scorer.clip: {error.Message}", error);
        }
    }

    private static void Map(WebApplication app, PromptMetrics metrics, IPAddress address)
    {
        app.Use((context, next) => WebPage.AddHeaders(context, next));
        app.Use((context, next) => ProblemsAsync(context, next, metrics, app.Logger));
        app.Use((context, next) => LocalHosts.Accepts(address, context.Request.Host.Host)
            ? next(context)
            : throw new ProblemException(new(StatusCodes.Status421MisdirectedRequest, "Misdirected request", $"Host: {LocalHosts.Right()}")));
        app.UseStatusCodePages(context => Wire.Json(ForStatus(context.HttpContext)).ExecuteAsync(context.HttpContext));
        app.UseRouting();
        app.MapGet("/healthz", () => Results.Text("ok"));
        app.MapGet("/readyz", (JobDispatcher dispatcher) =>
            dispatcher.Ready ? Results.Text("ok") : Results.Text("the store is not ready", statusCode: StatusCodes.Status503ServiceUnavailable));
        app.MapMetrics("/metrics", metrics.Registry);
        app.Services.GetRequiredService<JobsApi>().Map(app);
        WebPage.Map(app);
    }

    private static async Task ProblemsAsync(HttpContext context, RequestDelegate next, PromptMetrics metrics, ILogger logger)
    {
        Problem problem;
        try
        {
            await next(context).ConfigureAwait(false);
            return;
        }
        catch (ProblemException error)
        {
            problem = error.Problem;
        }
        catch (BadHttpRequestException error)
        {
            problem = new(error.StatusCode, "The request cannot be read", "body: " + error.Message);
        }
        catch (QueueFullException error)
        {
            metrics.JobRefused();
            context.Response.Headers.RetryAfter = "10";
            problem = new(StatusCodes.Status429TooManyRequests, "The queue is full",
                string.Create(CultureInfo.InvariantCulture, $"jobs.maxWaiting: {error.Waiting} jobs wait, the most that may: ask again when some are done"));
        }
        catch (DbException error)
        {
            var cause = StoreFaults.Words(error);
            logger.LogError("{Method} failed: the store does not answer ({Cause})", context.Request.Method, cause);
            context.Response.Headers.RetryAfter = "5";
            problem = new(StatusCodes.Status503ServiceUnavailable, "The store does not answer", error is SqliteException
                ? $"--data: the store does not answer ({cause}): if its disk is full, make room; then ask again"
                : $"store: PostgreSQL does not answer ({cause}): ask again");
        }
        catch (UnreadableJobException error)
        {
            logger.LogError("{Problem}", error.Message);
            problem = new(StatusCodes.Status500InternalServerError, "The job cannot be read",
                $"id: {error.Message}: it ends as Failed when its turn comes, and once it has ended DELETE with ?purge=true removes it");
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (Exception error)
        {
            // Type and place only: a message may quote what a user wrote.
            logger.LogError("{Method} failed: {Type}{NewLine}{Stack}", context.Request.Method, error.GetType().FullName, Environment.NewLine, error.StackTrace);
            problem = new(StatusCodes.Status500InternalServerError, "Internal error", $"internal error ({error.GetType().Name}); the service's log says where");
        }

        if (context.Response.HasStarted)
            context.Abort();
        else
            await Wire.Json(problem).ExecuteAsync(context).ConfigureAwait(false);
    }

    private static Problem ForStatus(HttpContext context) => context.Response.StatusCode switch
    {
        StatusCodes.Status404NotFound => new(404, "Not found", "there is nothing at this path"),
        StatusCodes.Status405MethodNotAllowed => new(405, "Method not allowed", $"{context.Request.Method} does not apply to this path"),
        var status => new(status, "Error", $"HTTP {status}"),
    };
}
