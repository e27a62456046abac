using System.Net;
using Moebius.Operator.Planning;

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
    int Workers = 8)
{
    /// <summary>How often the API server is asked again what it can do.</summary>
    public TimeSpan DiscoveryInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Carries requests to prompt-optimization services.</summary>
    public Func<HttpMessageHandler> ServiceHandler { get; init; } = () => new SocketsHttpHandler { PooledConnectionLifetime = TimeSpan.FromMinutes(2) };
}
