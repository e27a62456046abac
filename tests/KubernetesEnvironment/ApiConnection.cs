using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;

namespace Moebius.KubernetesEnvironment;

/// <summary>Plain HTTPS to one server as its administrator, for what the environment itself asks of it.</summary>
internal sealed class ApiConnection : IDisposable
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(50);

    private readonly HttpClient _client;
    private string _lastRefusal = "nothing was asked";

    public ApiConnection(int port, string authorityPem, PemPair administrator)
    {
        var trust = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        trust.CustomTrustStore.Add(X509Certificate2.CreateFromPem(authorityPem));
        _client = new HttpClient(new SocketsHttpHandler
        {
            SslOptions = new SslClientAuthenticationOptions
            {
                CertificateChainPolicy = trust,
                ClientCertificates = [X509Certificate2.CreateFromPem(administrator.Certificate, administrator.Key)],
            },
        })
        {
            BaseAddress = new Uri(FormattableString.Invariant($"https://127.0.0.1:{port}/")),
        };
        _client.DefaultRequestHeaders.UserAgent.ParseAdd("moebius-test-environment");
    }

    /// <summary>How long a server that cannot answer is asked again.</summary>
    public TimeSpan Patience { get; set; } = TimeSpan.FromMinutes(1);

    public Uri Address => _client.BaseAddress!;

    public void Dispose() => _client.Dispose();

    /// <summary>Whether a GET answers 200; anything else, also a refused connection, is no.</summary>
    public async Task<bool> AnswersAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            return await GetTextAsync(path, cancellationToken).ConfigureAwait(false) is not null;
        }
        catch (HttpRequestException error)
        {
            _lastRefusal = $"{path}: {error.Message}";
            return false;
        }
    }

    /// <summary>The JSON at a path, or null when the answer is not 200.</summary>
    public async Task<JsonNode?> GetAsync(string path, CancellationToken cancellationToken)
    {
        var text = await GetTextAsync(path, cancellationToken).ConfigureAwait(false);
        return text is null ? null : JsonNode.Parse(text);
    }

    /// <summary>
    /// The JSON at a path, or null when there is none. A server that is busy, begins or has failed says nothing of what there is: it is
    /// asked again.
    /// </summary>
    /// <exception cref="InvalidOperationException">The server refuses, or goes on failing.</exception>
    public async Task<JsonNode?> FindAsync(string path, CancellationToken cancellationToken)
    {
        for (var since = Stopwatch.GetTimestamp(); ; await Task.Delay(PollInterval, cancellationToken).ConfigureAwait(false))
        {
            using var response = await _client.GetAsync(path, cancellationToken).ConfigureAwait(false);
            var text = await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false);
            switch (response.StatusCode)
            {
                case HttpStatusCode.OK:
                    return JsonNode.Parse(text);
                case HttpStatusCode.NotFound:
                    return null;
                case HttpStatusCode.TooManyRequests or >= HttpStatusCode.InternalServerError when Stopwatch.GetElapsedTime(since) < Patience:
                    break;
                case var status:
                    throw new InvalidOperationException($"GET {path} was answered {(int)status}: {text}");
            }
        }
    }

    /// <summary>Creates an object.</summary>
    /// <returns>Why the server refuses it; null when it does not.</returns>
    /// <exception cref="InvalidOperationException">The server has failed.</exception>
    public async Task<string?> CreateAsync(string path, string json, CancellationToken cancellationToken)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using var response = await _client.PostAsync(path, content, cancellationToken).ConfigureAwait(false);
        var text = await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
            return null;
        return (int)response.StatusCode is >= 400 and < 500
            ? (string?)JsonNode.Parse(text)!["message"] ?? text
            : throw new InvalidOperationException($"POST {path} was answered {(int)response.StatusCode}: {text}");
    }

    /// <summary>Server-side apply of one object in YAML or JSON; returns the object as stored.</summary>
    public Task<JsonNode> ApplyAsync(string path, string manifest, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Patch, path + "?fieldManager=moebius-test-environment&force=true&fieldValidation=Strict", manifest, "application/apply-patch+yaml", cancellationToken);

    /// <summary>JSON merge patch of one object; returns the object as stored.</summary>
    public Task<JsonNode> MergeAsync(string path, string patch, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Patch, path, patch, "application/merge-patch+json", cancellationToken);

    /// <summary>Creates an object, or merges into the one that is there; for kinds that an old core cannot apply.</summary>
    public async Task CreateOrMergeAsync(string collection, string name, string json, CancellationToken cancellationToken)
    {
        if (await GetAsync($"{collection}/{name}", cancellationToken).ConfigureAwait(false) is null)
            await SendAsync(HttpMethod.Post, collection, json, "application/json", cancellationToken).ConfigureAwait(false);
        else
            await MergeAsync($"{collection}/{name}", json, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A GET under another user agent, whose answer does not matter.</summary>
    public async Task SignalAsync(string path, string userAgent, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.UserAgent.ParseAdd(userAgent);
        using var response = await _client.SendAsync(request, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Asks again and again until the condition holds.</summary>
    /// <exception cref="TimeoutException">It did not in time; the message says what was waited for and what the server refused last.</exception>
    public async Task UntilAsync(string what, Func<CancellationToken, Task<bool>> condition, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout);
        try
        {
            while (!await condition(limit.Token).ConfigureAwait(false))
                await Task.Delay(PollInterval, limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"{what}: not within {timeout.TotalSeconds} s; last refusal: {_lastRefusal}");
        }
    }

    private async Task<string?> GetTextAsync(string path, CancellationToken cancellationToken)
    {
        using var response = await _client.GetAsync(path, cancellationToken).ConfigureAwait(false);
        var text = await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.OK)
            return text;
        _lastRefusal = $"{path}: {(int)response.StatusCode} {text.Trim()}";
        return null;
    }

    private async Task<JsonNode> SendAsync(HttpMethod method, string path, string body, string mediaType, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, path) { Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body)) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(mediaType);
        using var response = await _client.SendAsync(request, cancellationToken).ConfigureAwait(false);
        var text = await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false);
        return response.IsSuccessStatusCode
            ? JsonNode.Parse(text)!
            : throw new InvalidOperationException($"{method} {path} was answered {(int)response.StatusCode}: {text}");
    }
}
