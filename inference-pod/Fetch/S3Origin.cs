using System.Globalization;
using System.Xml;
using System.Xml.Linq;
using Moebius.Crds;

namespace Moebius.Inference.Fetch;

/// <summary>A prefix in a bucket of S3 or of a store with the same API.</summary>
internal sealed class S3Origin : IModelOrigin
{
    private readonly HttpClient _http;
    private readonly Uri _bucket;
    private readonly string _prefix;
    private readonly string _region;
    private readonly S3Credentials? _credentials;
    private readonly TimeProvider _time;

    /// <param name="http">Sends requests.</param>
    /// <param name="uri"><c>s3://bucket/prefix</c>.</param>
    /// <param name="endpoint">Base URL of a store that is not AWS; the bucket is then a part of the path.</param>
    /// <param name="region">Region; null for <c>us-east-1</c>.</param>
    /// <param name="credentials">Null: requests are not signed.</param>
    /// <param name="time">For signatures.</param>
    /// <exception cref="UserInputException">An address cannot be read.</exception>
    public S3Origin(HttpClient http, string uri, string? endpoint, string? region, S3Credentials? credentials, TimeProvider time)
    {
        if (!Uri.TryCreate(uri, UriKind.Absolute, out var location) || location.Scheme != "s3" || location.Host.Length == 0)
            throw new UserInputException($"--s3: '{uri}' is not a bucket and prefix, such as s3://models/austen");
        StoreUrl.RefuseCredentials(location, "--s3");
        var store = endpoint is null ? null : StoreUrl.Http(endpoint, "--endpoint", "https://minio.example:9000");
        _http = http;
        _region = region ?? "us-east-1";
        _prefix = Uri.UnescapeDataString(location.AbsolutePath).Trim('/');
        // A certificate for *.s3.REGION.amazonaws.com holds for names without a dot.
        if (store is null && location.Host.Contains('.', StringComparison.Ordinal))
            store = new Uri($"https://s3.{_region}.amazonaws.com/");
        _bucket = store is null
            ? new Uri($"https://{location.Host}.s3.{_region}.amazonaws.com/")
            : new Uri(store, $"{store.AbsolutePath.TrimEnd('/')}/{location.Host}/");
        _credentials = credentials;
        _time = time;
        Name = uri;
    }

    /// <inheritdoc />
    public string Name { get; }

    /// <inheritdoc />
    public string Record => $"s3 {_bucket}{_prefix}";

    /// <inheritdoc />
    public async Task<IReadOnlyList<RemoteFile>> ListAsync(CancellationToken cancellationToken)
    {
        var files = new List<RemoteFile>();
        var listing = new Listing(Name);
        var start = _prefix.Length == 0 ? "" : _prefix + "/";
        string? page = null;
        do
        {
            listing.BeginPage(page ?? "");
            var query = $"?list-type=2&prefix={S3Signature.Escape(start)}{(page is null ? "" : $"&continuation-token={S3Signature.Escape(page)}")}";
            using var request = Signed(new Uri(_bucket, query), 0);
            using var response = await Answers.SendAsync(_http, request, Name, cancellationToken).ConfigureAwait(false);
            var list = await ParseAsync(listing, response, cancellationToken).ConfigureAwait(false);
            var space = list.Name.Namespace;
            var items = list.Elements(space + "Contents").ToList();
            listing.Add(items.Count);
            foreach (var item in items)
            {
                var key = item.Element(space + "Key")?.Value ?? "";
                if (!key.StartsWith(start, StringComparison.Ordinal) || !RemoteFile.IsWanted(key[start.Length..]))
                    continue;
                files.Add(new RemoteFile(
                    key[start.Length..],
                    new Uri(_bucket, string.Join('/', key.Split('/').Select(S3Signature.Escape))),
                    long.TryParse(item.Element(space + "Size")?.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var size) ? size : null,
                    Md5(item.Element(space + "ETag")?.Value),
                    item.Element(space + "ETag")?.Value));
            }

            var goesOn = list.Element(space + "IsTruncated")?.Value == "true";
            page = goesOn ? list.Element(space + "NextContinuationToken")?.Value : null;
            // Half a list would be taken for a whole one.
            if (goesOn && string.IsNullOrEmpty(page))
                throw Foreign(new XmlException("the list goes on, and has no NextContinuationToken"));
        }
        while (page is not null);
        return files;
    }

    /// <inheritdoc />
    public HttpRequestMessage Request(RemoteFile file, long from)
    {
        var request = Signed(file.Url, from);
        // An object of several parts has no digest: what was put in its place since it was listed would pass for it.
        if (file.Version is { } version)
            request.Headers.TryAddWithoutValidation("If-Match", version);
        return request;
    }

    private HttpRequestMessage Signed(Uri url, long from)
    {
        var request = RemoteFile.Get(url, from);
        if (_credentials is not null)
            S3Signature.Sign(request, _credentials, _region, _time.GetUtcNow());
        return request;
    }

    private async Task<XElement> ParseAsync(Listing listing, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            using var page = await listing.ReadAsync(response, cancellationToken).ConfigureAwait(false);
            // Without a document type there are no entities that could grow.
            using var reader = XmlReader.Create(page, new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit, XmlResolver = null });
            return XElement.Load(reader);
        }
        catch (XmlException error)
        {
            throw Foreign(error);
        }
    }

    private UserInputException Foreign(XmlException error) => new($"{Name}: the store does not answer as S3 does: {error.Message}: check the endpoint", error);

    // Objects of several parts have an ETag with a dash that is no digest of their bytes.
    private static Digest? Md5(string? tag) =>
        tag?.Trim('"') is { Length: 32 } hex && hex.All(char.IsAsciiHexDigit) ? new Digest(DigestKind.Md5, hex.ToLowerInvariant()) : null;
}
