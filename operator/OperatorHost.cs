using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;
using Moebius.Operator.Controllers;
using Moebius.Operator.Runtime;
using Moebius.Operator.Webhook;

namespace Moebius.Operator;

/// <summary>
/// One operator process: discovers the server, fills the caches, serves health and metrics, and runs the controllers
/// while it leads. Replicas that do not lead keep their caches warm.
/// </summary>
internal sealed class OperatorHost(OperatorOptions options, KubernetesClientConfiguration configuration, TimeProvider time, ILoggerFactory loggers)
{
    private readonly ILogger<OperatorHost> _logger = loggers.CreateLogger<OperatorHost>();
    private readonly OperatorMetrics _metrics = new(options.Namespace);
    private readonly WorkGap _gap = new(time);
    private volatile bool _ready;

    /// <summary>Runs until stopped.</summary>
    /// <returns>False when the leader's Lease was lost: the process should end and be started again.</returns>
    public async Task<bool> RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await RunToTheEndAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return true;
        }
    }

    private async Task<bool> RunToTheEndAsync(CancellationToken cancellationToken)
    {
        await using var health = await HealthServer.StartAsync(options.Listen, () => _ready, _metrics.Registry, cancellationToken).ConfigureAwait(false);
        using var kubernetes = new Kubernetes(configuration, options.ApiHandlers());
        using var handler = options.ServiceHandler();
        using var pods = PodReports.Client(handler);
        using var services = PromptService.Client(handler);
        var api = new ApiClient(kubernetes, _metrics);
        using var life = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var informers = new Informers(api, options.Namespace, time, _metrics, loggers);
        var events = new EventRecorder(api, options.Identity, time, loggers.CreateLogger<EventRecorder>());
        var children = new ChildApplier(api, informers.Children, _metrics, time, loggers.CreateLogger<ChildApplier>());
        var context = new ControllerContext(options.Settings, api, informers, children, events, _metrics, new PodReports(pods), time) { Log = loggers.CreateLogger("Moebius.Operator.Advice") };
        using var server = new ServerWatch(context, configuration.Host, time, loggers.CreateLogger<ServerWatch>());
        var memory = new IdleMemory(time).RunAsync(life.Token);
        var looking = Task.CompletedTask;
        try
        {
            context.Server = await server.AskAsync(cancellationToken).ConfigureAwait(false);
            _logger.LogInformation("API server {Version}, native sidecars: {NativeSidecars}, policy/v1: {PolicyV1}", context.Server.Version, context.Server.NativeSidecars, context.Server.PodDisruptionBudgets);
            var warmUp = Task.Run(() => WarmUp.RunAsync(options.Settings, api, options.Workers, context.Server), CancellationToken.None);
            await informers.StartAsync(context.Server, life.Token).ConfigureAwait(false);
            await informers.SyncedAsync(cancellationToken).ConfigureAwait(false);
            await warmUp.ConfigureAwait(false);
            _logger.LogInformation("Caches are filled");
            looking = server.RunAsync(options.DiscoveryInterval, life.Token);
            await using var webhook = await StartWebhookAsync(api, context, life.Token).ConfigureAwait(false);
            _ready = true;
            return await LeadAsync(kubernetes, api, context, server, events, services, life.Token, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _ready = false;
            await life.CancelAsync().ConfigureAwait(false);
            await looking.ConfigureAwait(false);
            await informers.StoppedAsync().ConfigureAwait(false);
            await memory.ConfigureAwait(false);
            _logger.LogInformation("Stopped");
        }
    }

    /// <summary>Every replica answers the API server, whoever leads.</summary>
    private async Task<WebhookProcess?> StartWebhookAsync(ApiClient api, ControllerContext context, CancellationToken life)
    {
        if (options.Webhook is not { } webhook)
            return null;
        var keeper = new CertificateKeeper(webhook, options.Settings.Namespace, api, time, loggers.CreateLogger<CertificateKeeper>());
        var server = await WebhookServer.StartAsync(webhook, keeper, context, _metrics, life).ConfigureAwait(false);
        var stop = CancellationTokenSource.CreateLinkedTokenSource(life);
        return new WebhookProcess(keeper, server, stop, Task.Run(() => keeper.RunAsync(stop.Token), CancellationToken.None));
    }

    private async Task<bool> LeadAsync(Kubernetes kubernetes, ApiClient api, ControllerContext context, ServerWatch server, EventRecorder events, HttpClient services, CancellationToken life, CancellationToken cancellationToken)
    {
        Task Work(CancellationToken term) => WorkAsync(api, context, server, events, services, life, term);
        if (options.LeaderElect)
            return await new Leadership(kubernetes, api, options.Settings.Namespace, options.Namespace, options.Identity, _metrics, loggers.CreateLogger<Leadership>()).RunAsync(Work, cancellationToken).ConfigureAwait(false);
        _metrics.Leader.Set(1);
        await Work(cancellationToken).ConfigureAwait(false);
        return true;
    }

    private async Task WorkAsync(ApiClient api, ControllerContext context, ServerWatch server, EventRecorder events, HttpClient services, CancellationToken life, CancellationToken term)
    {
        var informers = context.Informers;
        var nodes = new MemorySchedulingProfileController(context);
        var jobs = new PromptOptimizationJobController(context, new PromptService(services));
        using var deployments = Loop(MoEDeploymentController.Name, informers.MoEDeployments.Cache, new MoEDeploymentController(context), null, api);
        using var policies = Loop(KVPrivacyPolicyController.Name, informers.Policies.Cache, new KVPrivacyPolicyController(context), null, api);
        using var optimizers = Loop(PromptOptimizerController.Name, informers.Optimizers.Cache, new PromptOptimizerController(context), null, api);
        using var prompts = Loop(PromptOptimizationJobController.Name, informers.Jobs.Cache, jobs, (PromptOptimizationJobController.FinalizerName, jobs), api);
        using var profiles = Loop(MemorySchedulingProfileController.Name, informers.Profiles.Cache, nodes, (MemorySchedulingProfileController.FinalizerName, nodes), api);
        // Agents live in the operator's namespace and profiles in none: an operator of one namespace leaves them alone.
        IControllerLoop[] loops = options.Namespace is null ? [policies, profiles, deployments, optimizers, prompts] : [policies, deployments, optimizers, prompts];

        try
        {
            // What is planned depends on the server: plans of what it could do at this replica's start would undo the last leader's.
            await server.LookAsync(life, term).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (term.IsCancellationRequested)
        {
            return;
        }

        using var routes = new EventRoutes(informers, policies, profiles, deployments, optimizers, prompts);
        server.Changed += EnqueueAll;
        EnqueueAll();
        await Task.WhenAll([.. loops.Select(loop => loop.RunAsync(options.Workers, term)), events.RunAsync(term)]).ConfigureAwait(false);
        server.Changed -= EnqueueAll;

        void EnqueueAll()
        {
            foreach (var loop in loops)
                loop.EnqueueAll();
        }
    }

    private ControllerLoop<T> Loop<T>(string name, SharedCache<T> cache, IEntityController<T> controller, (string, IEntityFinalizer<T>)? finalizer, ApiClient api)
        where T : class, IKubernetesObject<V1ObjectMeta> =>
        new(name, cache, controller, finalizer, api, time, _metrics, _gap, loggers.CreateLogger(typeof(T).Name));
}
