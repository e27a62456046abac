using System.Net;
using Moebius.Crds;

namespace Moebius.Inference.Fetch;

/// <summary>
/// The HTTP client for stores. It follows redirects itself: .NET's takes <c>Authorization</c> off whatever the target, and the Hub
/// redirects small files within its own host; and it leaves other credentials (<c>x-amz-security-token</c>) on.
/// </summary>
internal sealed class StoreClient : DelegatingHandler
{
    /// <summary>Most redirects for one file.</summary>
    public const int MostRedirects = 10;

    // What says which part of which version is wanted; nothing else goes to another host.
    private static readonly string[] Harmless = ["Range", "If-Match", "User-Agent"];

    private readonly TimeProvider _time;

    private StoreClient(TimeProvider time)
        : base(new SocketsHttpHandler { ConnectTimeout = TimeSpan.FromSeconds(30), AllowAutoRedirect = false }) => _time = time;

    /// <summary>A client; bodies may take as long as they come, see <see cref="Stalls"/>.</summary>
    public static HttpClient Create(TimeProvider time)
    {
        var http = new HttpClient(new StoreClient(time)) { Timeout = Timeout.InfiniteTimeSpan };
        http.DefaultRequestHeaders.UserAgent.ParseAdd("moebius");
        return http;
    }

    /// <inheritdoc />
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        for (var redirects = 0; ; redirects++)
        {
            var response = await Stalls.LimitAsync(stop => base.SendAsync(request, stop), _time, cancellationToken).ConfigureAwait(false);
            if ((int)response.StatusCode is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } location)
                return response;
            response.Dispose();
            if (redirects == MostRedirects)
                throw new HttpRequestException($"more than {MostRedirects} redirects", null, HttpStatusCode.LoopDetected);
            request = Redirected(request, new Uri(request.RequestUri!, location));
        }
    }

    private static HttpRequestMessage Redirected(HttpRequestMessage request, Uri target)
    {
        var from = request.RequestUri!;
        if (target.Scheme != Uri.UriSchemeHttps && target.Scheme != from.Scheme)
            throw new UserInputException($"{from.GetLeftPart(UriPartial.Path)} redirects to {target.GetLeftPart(UriPartial.Path)}, which is not encrypted: check the endpoint");
        var same = target.Scheme == from.Scheme && target.Authority == from.Authority;
        var next = new HttpRequestMessage(HttpMethod.Get, target);
        foreach (var (name, values) in request.Headers.Where(header => same || Harmless.Contains(header.Key, StringComparer.OrdinalIgnoreCase)))
            next.Headers.TryAddWithoutValidation(name, values);
        return next;
    }
}
