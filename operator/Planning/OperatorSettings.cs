using Moebius.Crds.Host;

namespace Moebius.Operator.Planning;

/// <summary>What the operator was started with, as far as plans depend on it.</summary>
/// <param name="Image">
/// Image of every container whose resource names none; <c>{component}</c> in it stands for inference, kvcache, node-agent or
/// prompt-optimizer.
/// </param>
/// <param name="Namespace">Namespace of the operator's Lease; the node agents run there.</param>
public sealed record OperatorSettings(string Image, string Namespace)
{
    /// <summary>Image used when neither the operator nor a resource names one.</summary>
    public const string DefaultImage = "moebius-{component}:0.1.0";

    /// <summary>Namespace used when none is named.</summary>
    public const string DefaultNamespace = "moebius-system";

    /// <summary>Namespace of the operator's own pods, from which it asks inference pods what they run.</summary>
    public string PodNamespace { get; init; } = Namespace;

    /// <summary>
    /// Whether one PodMonitor for all inference pods is there already: a MoEDeployment then makes one of its own only when
    /// it requires one, so that nothing is scraped twice.
    /// </summary>
    public bool SharedPodMonitor { get; init; }

    /// <summary>How the operator writes its log, and every container that it makes.</summary>
    public LogFormat LogFormat { get; init; }

    /// <summary>Image of the containers of one component.</summary>
    /// <param name="component">Such as <see cref="Components.Inference"/>.</param>
    public string ImageOf(string component) => Image.Replace("{component}", component, StringComparison.Ordinal);

    /// <summary>The settings of an operator started without flags.</summary>
    public static OperatorSettings Default { get; } = new(DefaultImage, DefaultNamespace);
}
