using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using k8s.Models;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Webhook;

/// <summary>
/// Has a certificate for the webhook at hand. Without files it keeps one in a Secret that all replicas share, replaces it
/// in time, and tells the API server whom to trust, always before the new certificate is used. With files, which
/// cert-manager or a person renews, it reads them again.
/// </summary>
[EntityRbac(typeof(V1Secret), Verbs = RbacVerbs.Get | RbacVerbs.Patch, ResourceNames = [SecretName], OperatorNamespaceOnly = true, ForWebhook = true)]
[EntityRbac(typeof(V1Secret), Verbs = RbacVerbs.Create, OperatorNamespaceOnly = true, ForWebhook = true)]
[EntityRbac(typeof(V1ValidatingWebhookConfiguration), Verbs = RbacVerbs.Get | RbacVerbs.Patch, ResourceNames = [WebhookOptions.DefaultConfiguration], ForWebhook = true)]
internal sealed class CertificateKeeper(WebhookOptions options, string @namespace, ApiClient api, TimeProvider time, ILogger<CertificateKeeper> logger) : IDisposable
{
    /// <summary>The Secret that holds the certificate.</summary>
    public const string SecretName = "moebius-operator-webhook";

    private static readonly TimeSpan LookAgain = TimeSpan.FromMinutes(1);

    /// <summary>Time for every API server to hear whom to trust now, before they are shown the new certificate.</summary>
    private static readonly TimeSpan Announcement = TimeSpan.FromSeconds(10);

    private volatile X509Certificate2? _current;
    private string? _loaded;
    private (string Certificate, long Since)? _announced;

    /// <summary>What the server presents; null until there is one.</summary>
    public X509Certificate2? Current => _current;

    /// <summary>Keeps it up to date until stopped.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var backoff = Backoff.PerWatch();
        var failures = 0;
        while (!cancellationToken.IsCancellationRequested)
        {
            TimeSpan wait;
            try
            {
                wait = await LookAsync(cancellationToken).ConfigureAwait(false);
                failures = 0;
            }
            catch (Exception error) when (error is ApiException or HttpRequestException or IOException or UnauthorizedAccessException or TimeoutException or CryptographicException or UserInputException)
            {
                wait = backoff.Delay(++failures);
                logger.LogWarning("The webhook's certificate: {Error}; trying again in {Delay:0.0} s", error.Message, wait.TotalSeconds);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }

            try
            {
                await Task.Delay(wait, time, cancellationToken).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>Looks once.</summary>
    /// <returns>When to look again.</returns>
    public async Task<TimeSpan> LookAsync(CancellationToken cancellationToken)
    {
        if (options.CertificateDirectory is { } directory)
        {
            Use(new ServingCertificate(
                await File.ReadAllTextAsync(Path.Combine(directory, "tls.crt"), cancellationToken).ConfigureAwait(false),
                await File.ReadAllTextAsync(Path.Combine(directory, "tls.key"), cancellationToken).ConfigureAwait(false),
                ""));
            return LookAgain;
        }

        var certificate = await SharedAsync(cancellationToken).ConfigureAwait(false);
        await TrustAsync(certificate.Authorities, cancellationToken).ConfigureAwait(false);
        var left = LeftToAnnounce(certificate);
        if (left > TimeSpan.Zero)
            return left;
        Use(certificate);
        return LookAgain;
    }

    /// <summary>How long the certificate in use, while it is good, goes before another one.</summary>
    private TimeSpan LeftToAnnounce(ServingCertificate next)
    {
        if (_current is not { } used || next.Certificate == _loaded || !ServingCertificate.IsGood(used, options.DnsNames, time.GetUtcNow()))
            return TimeSpan.Zero;
        if (_announced?.Certificate != next.Certificate)
            _announced = (next.Certificate, time.GetTimestamp());
        return Announcement - time.GetElapsedTime(_announced.Value.Since);
    }

    /// <inheritdoc />
    public void Dispose() => _current?.Dispose();

    private async Task<ServingCertificate> SharedAsync(CancellationToken cancellationToken)
    {
        var path = $"api/v1/namespaces/{@namespace}/secrets";
        var secret = await api.FindAsync<V1Secret>(new ObjectKey(@namespace, SecretName), cancellationToken).ConfigureAwait(false);
        var known = secret is null ? null : new ServingCertificate(Text(secret, "tls.crt"), Text(secret, "tls.key"), Text(secret, "ca.crt"));
        var now = time.GetUtcNow();
        if (known is not null && !known.IsDue(options.DnsNames, now))
            return known;

        var made = ServingCertificate.Create(options.DnsNames, known?.Authorities, now);
        var data = new JsonObject { ["tls.crt"] = Base64(made.Certificate), ["tls.key"] = Base64(made.Key), ["ca.crt"] = Base64(made.Authorities) };
        // Of several replicas one wins; the others find what it has made.
        if (secret is null)
        {
            var body = new JsonObject
            {
                ["apiVersion"] = "v1",
                ["kind"] = "Secret",
                ["metadata"] = new JsonObject { ["name"] = SecretName, ["namespace"] = @namespace, ["labels"] = new JsonObject { [Labels.Name] = Labels.Manager, [Labels.PartOf] = "moebius" } },
                ["type"] = "kubernetes.io/tls",
                ["data"] = data,
            };
            await api.CreateAsync(path, body, cancellationToken).ConfigureAwait(false);
        }
        else
        {
            await api.MergeAsync($"{path}/{SecretName}", new JsonObject { ["metadata"] = new JsonObject { ["resourceVersion"] = secret.Metadata.ResourceVersion }, ["data"] = data }, cancellationToken).ConfigureAwait(false);
        }

        logger.LogInformation("Made a certificate for the webhook, valid for {Days} days", ServingCertificate.Lifetime.TotalDays);
        return made;
    }

    /// <summary>Puts the authorities into the webhook's configuration.</summary>
    private async Task TrustAsync(string authorities, CancellationToken cancellationToken)
    {
        var path = $"apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{options.Configuration}";
        JsonObject configuration;
        try
        {
            configuration = await api.GetAsync(path, cancellationToken).ConfigureAwait(false);
        }
        catch (ApiException error) when (error.StatusCode == HttpStatusCode.NotFound)
        {
            throw new UserInputException($"--webhook-configuration: there is no ValidatingWebhookConfiguration '{options.Configuration}': apply operator/manifests/webhook.yaml, or start without --webhook-listen");
        }

        var bundle = Base64(authorities);
        var hooks = (configuration["webhooks"] as JsonArray ?? []).OfType<JsonObject>().ToList();
        if (hooks.Any(hook => (string?)hook["clientConfig"]?["caBundle"] != bundle))
        {
            var patched = hooks.Select(hook => (JsonNode)hook.DeepClone()).ToArray();
            foreach (var hook in patched)
                hook["clientConfig"]!["caBundle"] = bundle;
            await api.MergeAsync(path, new JsonObject { ["metadata"] = new JsonObject { ["resourceVersion"] = (string?)configuration["metadata"]?["resourceVersion"] }, ["webhooks"] = new JsonArray(patched) }, cancellationToken).ConfigureAwait(false);
        }
    }

    private void Use(ServingCertificate certificate)
    {
        if (certificate.Certificate == _loaded)
            return;
        // The one before may still serve a handshake: the collector takes it.
        _current = certificate.Load();
        _loaded = certificate.Certificate;
    }

    private static string Text(V1Secret secret, string key) => secret.Data is { } data && data.TryGetValue(key, out var bytes) ? Encoding.UTF8.GetString(bytes) : "";

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));
}
