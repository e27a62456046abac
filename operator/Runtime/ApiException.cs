using System.Net;
using System.Text.Json.Nodes;

namespace Moebius.Operator.Runtime;

/// <summary>The API server answered with an error.</summary>
internal sealed class ApiException(HttpStatusCode statusCode, string reason, string message, IReadOnlyList<ApiErrorCause> causes)
    : Exception($"{(int)statusCode} {reason}: {message}")
{
    public HttpStatusCode StatusCode { get; } = statusCode;

    /// <summary>The machine-readable reason, such as <c>Conflict</c> or <c>Expired</c>.</summary>
    public string Reason { get; } = reason;

    /// <summary>The server's own words.</summary>
    public string Detail { get; } = message;

    public IReadOnlyList<ApiErrorCause> Causes { get; } = causes;

    /// <summary>The resource version asked for is too old: everything has to be listed again.</summary>
    public bool IsExpired => StatusCode == HttpStatusCode.Gone || Reason is "Expired" or "Gone";

    /// <summary>Trying the same request again later cannot help unless somebody changes something.</summary>
    public bool IsRejection => StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.Forbidden or HttpStatusCode.UnprocessableEntity or HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed;

    /// <summary>Reads a Status object; what is not one is quoted.</summary>
    public static ApiException From(HttpStatusCode statusCode, string body)
    {
        try
        {
            if (JsonNode.Parse(body) is JsonObject status)
                return From(statusCode, status);
        }
        catch (System.Text.Json.JsonException)
        {
            // A proxy's page, perhaps.
        }

        return new ApiException(statusCode, statusCode.ToString(), body.Length > 256 ? body[..256] : body, []);
    }

    public static ApiException From(HttpStatusCode statusCode, JsonObject status) => new(
        statusCode,
        (string?)status["reason"] ?? statusCode.ToString(),
        (string?)status["message"] ?? "",
        [.. (status["details"]?["causes"] as JsonArray ?? []).OfType<JsonObject>().Select(cause => new ApiErrorCause((string?)cause["reason"] ?? "", (string?)cause["message"] ?? "", (string?)cause["field"] ?? ""))]);
}

/// <summary>One of several causes of an error.</summary>
internal sealed record ApiErrorCause(string Reason, string Message, string Field);
