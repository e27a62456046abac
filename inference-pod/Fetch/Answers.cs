using System.Net;
using System.Security.Authentication;
using Moebius.Crds;

namespace Moebius.Inference.Fetch;

/// <summary>Sorts answers: what a person has to correct, what trying again may help with, and success.</summary>
internal static class Answers
{
    /// <summary>Sends a request and reads the headers of the answer.</summary>
    /// <inheritdoc cref="Check" path="/exception"/>
    public static async Task<HttpResponseMessage> SendAsync(HttpClient http, HttpRequestMessage request, string what, CancellationToken cancellationToken) =>
        Check(await OpenAsync(http, request, cancellationToken).ConfigureAwait(false), request, what);

    /// <summary>Sends a request and reads the headers of the answer, whatever it is.</summary>
    /// <exception cref="HttpRequestException">There is no answer.</exception>
    public static async Task<HttpResponseMessage> OpenAsync(HttpClient http, HttpRequestMessage request, CancellationToken cancellationToken)
    {
        try
        {
            return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        }
        catch (HttpRequestException error) when (error.InnerException is AuthenticationException why)
        {
            // The outer message says only that there is an inner one.
            throw new HttpRequestException(
                $"no TLS connection to {request.RequestUri!.Host}: {why.Message.TrimEnd('.')}: where its authority is a private one, give that in store.download.caConfigMapRef, or in a directory that SSL_CERT_DIR names",
                error);
        }
    }

    /// <summary>The answer, if it is a success.</summary>
    /// <exception cref="UserInputException">Refused, or not there.</exception>
    /// <exception cref="HttpRequestException">The other side is in trouble.</exception>
    public static HttpResponseMessage Check(HttpResponseMessage response, HttpRequestMessage request, string what)
    {
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
        {
            var code = (int)response.StatusCode;
            var url = request.RequestUri!.GetLeftPart(UriPartial.Path);
            // An archive is called by its address.
            var subject = what == url ? url : $"{what}: {url}";
            throw response.StatusCode switch
            {
                HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => new UserInputException($"{subject} answers {code}: give credentials that may read it"),
                HttpStatusCode.NotFound or HttpStatusCode.Gone => new UserInputException($"{subject} answers {code}: it does not exist, or only with credentials"),
                HttpStatusCode.PreconditionFailed => new HttpRequestException($"{subject} has changed since it was listed: fetch again", null, response.StatusCode),
                HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests => new HttpRequestException($"{subject} answers {code}", null, response.StatusCode),
                >= HttpStatusCode.InternalServerError => new HttpRequestException($"{subject} answers {code}", null, response.StatusCode),
                _ when response.Headers.TryGetValues("x-amz-bucket-region", out var regions) => new UserInputException($"{subject} answers {code} {response.ReasonPhrase}: the bucket is in {regions.First()}: give that as the region"),
                _ => new UserInputException($"{subject} answers {code} {response.ReasonPhrase}"),
            };
        }
    }
}
