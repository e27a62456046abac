using System.Text.Json.Nodes;
using Moebius.Crds;

namespace Moebius.Operator.Webhook;

/// <summary>The question and the answer of a webhook, <c>admission.k8s.io/v1</c>.</summary>
internal static class AdmissionReview
{
    /// <summary>Longest message, and longest warning, that clients show.</summary>
    private const int MaxMessage = 4096;
    private const int MaxWarning = 256;

    /// <summary>The objects of a question; null when it is none.</summary>
    public static (string Uid, JsonObject Object, JsonObject? OldObject)? Read(JsonNode? review) =>
        review is JsonObject question && Text(question["apiVersion"]) == "admission.k8s.io/v1" && question["request"] is JsonObject request && Text(request["uid"]) is { } uid && request["object"] is JsonObject value
            ? (uid, value, request["oldObject"] as JsonObject)
            : null;

    /// <summary>The kind that is counted: one of ours or "other", because whoever reaches the port may ask about anything.</summary>
    public static string Kind(JsonObject value) => ResourceKinds.All.FirstOrDefault(kind => kind.Kind == Text(value["kind"]))?.Kind ?? "other";

    /// <summary>The answer.</summary>
    public static JsonObject Answer(string uid, AdmissionVerdict verdict)
    {
        var response = new JsonObject { ["uid"] = uid, ["allowed"] = verdict.Errors.Count == 0 };
        if (verdict.Errors.Count > 0)
            response["status"] = new JsonObject { ["code"] = 422, ["reason"] = "Invalid", ["message"] = Cut(string.Join("; ", verdict.Errors), MaxMessage) };
        if (verdict.Warnings.Count > 0)
            response["warnings"] = new JsonArray([.. verdict.Warnings.Select(warning => JsonValue.Create(Cut(warning, MaxWarning)))]);
        return new JsonObject { ["apiVersion"] = "admission.k8s.io/v1", ["kind"] = "AdmissionReview", ["response"] = response };
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    private static string Cut(string text, int length) => text.Length <= length ? text : text[..(length - 1)] + "…";
}
