using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Moebius.PromptOptimizer.Api;

/// <summary>The page at <c>/</c>: three embedded files and the headers that keep it from loading or running anything else.</summary>
internal static class WebPage
{
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    public static void Map(IEndpointRouteBuilder routes)
    {
        Add("/", "index.html", "text/html; charset=utf-8");
        Add("/app.js", "app.js", "text/javascript; charset=utf-8");
        Add("/style.css", "style.css", "text/css; charset=utf-8");
        Add("/favicon.svg", "favicon.svg", "image/svg+xml");

        void Add(string path, string resource, string type)
        {
            var bytes = Resources.Bytes(resource);
            routes.MapGet(path, () => Results.Bytes(bytes, type));
        }
    }

    /// <summary>On every answer, also the API's: an error or an image must not be taken for a page.</summary>
    public static Task AddHeaders(HttpContext context, RequestDelegate next)
    {
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers.CacheControl = "no-store";
        return next(context);
    }
}
