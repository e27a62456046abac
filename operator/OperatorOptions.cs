using System.Net;
using Moebius.Operator.Planning;
using Moebius.Operator.Webhook;

namespace Moebius.Operator;

/// <summary>How an operator process is started.</summary>
/// <param name="Settings">What plans depend on.</param>
/// <param name="Namespace">The one namespace to work in; null for all.</param>
/// <param name="Listen">Address of health and metrics.</param>
/// <param name="LeaderElect">Whether to lead only while holding a Lease.</param>
/// <param name="Identity">Name of this process among the candidates.</param>
/// <param name="Workers">Objects of one kind that are worked on at once.</param>
internal sealed record OperatorOptions(
    OperatorSettings Settings,
    string? Namespace,
    IPEndPoint Listen,
    bool LeaderElect,
    string Identity,
    int Workers = OperatorOptions.DefaultWorkers)
{
    /// <summary>Enough to keep an API server on a few processors busy; each waits for it most of its time.</summary>
    public const int DefaultWorkers = 16;

    /// <summary>How often the API server is asked again what it can do.</summary>
    public TimeSpan DiscoveryInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The validating webhook; null for none.</summary>
    public WebhookOptions? Webhook { get; init; }

    /// <summary>Handlers that every request to the API server passes, outermost first.</summary>
    public Func<DelegatingHandler[]> ApiHandlers { get; init; } = () => [];

    /// <summary>Carries requests to prompt-optimization services and pods. A redirect would let a tenant's pod choose whom the operator calls.</summary>
    public Func<HttpMessageHandler> ServiceHandler { get; init; } = () => new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, PooledConnectionLifetime = TimeSpan.FromMinutes(2) };
}
