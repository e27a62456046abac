using System.Net;

namespace Moebius.Operator.Webhook;

/// <summary>How the validating webhook is served.</summary>
/// <param name="Listen">Address of HTTPS.</param>
/// <param name="DnsNames">Names by which the API server calls it.</param>
/// <param name="Configuration">The ValidatingWebhookConfiguration to put the authorities into.</param>
/// <param name="CertificateDirectory">Directory with tls.crt and tls.key that somebody else renews; null to keep a certificate oneself.</param>
internal sealed record WebhookOptions(IPEndPoint Listen, IReadOnlyList<string> DnsNames, string Configuration, string? CertificateDirectory)
{
    /// <summary>Name of the configuration when none is given.</summary>
    public const string DefaultConfiguration = "moebius-operator";

    /// <summary>Path that the API server posts to.</summary>
    public const string Path = "/validate";

    /// <summary>The names of a Service.</summary>
    /// <param name="service">Namespace and name with a slash between.</param>
    /// <exception cref="Moebius.Crds.UserInputException">Something else.</exception>
    public static IReadOnlyList<string> NamesOf(string service) => service.Split('/') is [{ Length: > 0 } @namespace, { Length: > 0 } name]
        ? [$"{name}.{@namespace}.svc", $"{name}.{@namespace}.svc.cluster.local"]
        : throw new Moebius.Crds.UserInputException($"--webhook-service: '{service}' is not a namespace and the name of a Service, such as moebius-system/moebius-operator-webhook");
}
