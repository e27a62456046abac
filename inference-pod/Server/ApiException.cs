using System.Text.Json.Nodes;

namespace Moebius.Inference.Server;

/// <summary>An error as the OpenAI API shapes it.</summary>
internal sealed class ApiException(int status, string type, string message, string? param = null, string? code = null) : Exception(message)
{
    public int Status => status;

    /// <summary>Seconds after which trying again makes sense.</summary>
    public int? RetryAfter { get; init; }

    /// <summary>The methods that the path takes.</summary>
    public string? Allow { get; init; }

    /// <summary>A field that cannot be honoured.</summary>
    public static ApiException Invalid(string param, string message, string? code = null) => new(400, "invalid_request_error", message, param, code);

    public JsonObject Body() => new()
    {
        ["error"] = new JsonObject { ["message"] = Message, ["type"] = type, ["param"] = param, ["code"] = code },
    };
}
