using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds;

namespace Moebius.Inference.Fetch;

/// <summary>A repository of the Hugging Face Hub, at the commit that its revision names when the download begins.</summary>
internal sealed class HubOrigin : IModelOrigin
{
    private readonly HttpClient _http;
    private readonly Uri _endpoint;
    private readonly string _repository;
    private readonly string _revision;
    private readonly string? _token;

    /// <exception cref="UserInputException">The endpoint is not a URL.</exception>
    public HubOrigin(HttpClient http, string endpoint, string repository, string revision, string? token)
    {
        var url = StoreUrl.Http(endpoint.TrimEnd('/') + "/", "--endpoint", "https://huggingface.co");
        if (repository.Split('/') is not [{ Length: > 0 }, { Length: > 0 }])
            throw new UserInputException($"--hugging-face: '{repository}' is not an owner and a name, such as mistralai/Mixtral-8x7B-v0.1");
        (_http, _endpoint, _repository, _revision, _token) = (http, url, repository, revision, token);
        Name = $"{repository}@{revision}";
    }

    /// <inheritdoc />
    public string Name { get; }

    /// <inheritdoc />
    public string Record => $"hugging-face {Name}";

    /// <inheritdoc />
    public async Task<IReadOnlyList<RemoteFile>> ListAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await FilesAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is InvalidOperationException or ArgumentException or FormatException or JsonException)
        {
            // JSON, but with a list where the Hub has an object, a number where it has a text, or a field twice; or a link to nowhere.
            throw Foreign(error);
        }
    }

    private async Task<IReadOnlyList<RemoteFile>> FilesAsync(CancellationToken cancellationToken)
    {
        var listing = new Listing(Name);
        var revision = await JsonAsync(listing, new Uri(_endpoint, $"api/models/{_repository}/revision/{Uri.EscapeDataString(_revision)}"), cancellationToken).ConfigureAwait(false);
        var commit = (string?)revision.Body["sha"] ?? throw new UserInputException($"{Name}: {_endpoint} does not say which commit this is: check the endpoint");
        var files = new List<RemoteFile>();
        for (var page = new Uri(_endpoint, $"api/models/{_repository}/tree/{commit}"); page is not null;)
        {
            listing.BeginPage(page.PathAndQuery);
            var (body, next) = await JsonAsync(listing, page, cancellationToken).ConfigureAwait(false);
            var entries = body.AsArray();
            listing.Add(entries.Count);
            foreach (var entry in entries.OfType<JsonObject>())
            {
                if ((string?)entry["type"] == "file" && (string?)entry["path"] is { } path && RemoteFile.IsWanted(path))
                    files.Add(new RemoteFile(path, new Uri(_endpoint, $"{_repository}/resolve/{commit}/{Uri.EscapeDataString(path)}"), (long?)entry["size"], DigestOf(entry)));
            }

            page = next;
        }

        return files;
    }

    /// <inheritdoc />
    public HttpRequestMessage Request(RemoteFile file, long from) => Authorized(file.Url, from);

    private HttpRequestMessage Authorized(Uri url, long from = 0)
    {
        var request = RemoteFile.Get(url, from);
        if (_token is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _token);
        return request;
    }

    private async Task<(JsonNode Body, Uri? Next)> JsonAsync(Listing listing, Uri url, CancellationToken cancellationToken)
    {
        using var request = Authorized(url);
        using var response = await Answers.SendAsync(_http, request, Name, cancellationToken).ConfigureAwait(false);
        try
        {
            using var page = await listing.ReadAsync(response, cancellationToken).ConfigureAwait(false);
            var body = JsonNode.Parse(page) ?? throw new JsonException("null");
            return (body, Next(response, url));
        }
        catch (JsonException error)
        {
            throw Foreign(error);
        }
    }

    private UserInputException Foreign(Exception error) => new($"{Name}: {_endpoint} does not answer as the Hub does: {error.Message}: check the endpoint", error);

    // The token goes wherever the next page is, so that has to be the same host. Without it the list is not whole.
    private static Uri? Next(HttpResponseMessage response, Uri from)
    {
        var link = response.Headers.TryGetValues("Link", out var links) ? links.SelectMany(one => one.Split(',')).FirstOrDefault(one => one.Contains("rel=\"next\"", StringComparison.Ordinal)) : null;
        if (link is null || link.IndexOf('<', StringComparison.Ordinal) is not (>= 0 and var start) || link.IndexOf('>', start) is not (> 0 and var end))
            return null;
        var next = new Uri(from, link[(start + 1)..end]);
        return next.Authority == from.Authority && next.Scheme == from.Scheme ? next : throw new JsonException($"the list goes on at {next.Scheme}://{next.Authority}");
    }

    private static Digest? DigestOf(JsonObject entry)
    {
        if ((string?)entry["lfs"]?["oid"] is { Length: 64 } sha256)
            return new Digest(DigestKind.Sha256, sha256.ToLowerInvariant());
        return (string?)entry["oid"] is { Length: 40 } oid ? new Digest(DigestKind.GitBlob, oid.ToLowerInvariant()) : null;
    }
}
