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
    public bool IsRejection => StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.Forbidden or HttpStatusCode.UnprocessableEntity or HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed
        || (StatusCode == HttpStatusCode.InternalServerError && RejectionsAsErrors.Any(words => Detail.Contains(words, StringComparison.Ordinal)));

    /// <summary>What the server answers with 500, but only a person can settle: a webhook that is away, a field that it does not know.</summary>
    private static readonly string[] RejectionsAsErrors = ["failed calling webhook", "failed to create typed patch object"];

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

    /// <summary>Reads the Status object of a watch, which carries its own code.</summary>
    public static ApiException From(JsonObject status) => From((HttpStatusCode)((int?)status["code"] ?? 500), status);

    public static ApiException From(HttpStatusCode statusCode, JsonObject status)
    {
        List<ApiErrorCause> causes = [.. (status["details"]?["causes"] as JsonArray ?? []).OfType<JsonObject>().Select(cause => new ApiErrorCause((string?)cause["reason"] ?? "", (string?)cause["message"] ?? "", (string?)cause["field"] ?? ""))];
        return new(statusCode, (string?)status["reason"] ?? statusCode.ToString(), OneLine((string?)status["message"] ?? "", causes), causes);
    }

    /// <summary>Of some fields the server shows its own data structures, over many lines: nobody needs these in a condition.</summary>
    private static string OneLine(string message, List<ApiErrorCause> causes)
    {
        static string First(string text) => text.Split('\n', 2)[0].TrimEnd();
        if (!message.Contains('\n', StringComparison.Ordinal))
            return message;
        return causes.Count > 0 ? string.Join("; ", causes.Select(cause => $"{cause.Field}: {First(cause.Message)}")) : First(message);
    }
}

/// <summary>One of several causes of an error.</summary>
internal sealed record ApiErrorCause(string Reason, string Message, string Field);
