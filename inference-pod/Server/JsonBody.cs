using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Moebius.Inference.Text;

namespace Moebius.Inference.Server;

/// <summary>Writes an answer's JSON.</summary>
internal static class JsonBody
{
    public const string ContentType = "application/json; charset=utf-8";

    /// <summary>Sends an object; the status is the caller's.</summary>
    public static async Task WriteAsync(HttpResponse response, JsonObject body)
    {
        var bytes = Encoding.UTF8.GetBytes(Text(body));
        response.ContentType = ContentType;
        response.ContentLength = bytes.Length;
        await response.Body.WriteAsync(bytes, response.HttpContext.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>The object on one line, with letters of all scripts as they are.</summary>
    public static string Text(JsonObject body) => body.ToJsonString(JsonStyles.Plain);

    /// <summary>JSON can escape half a surrogate pair; reading such a text later would fail at any place.</summary>
    internal static bool IsText(JsonElement element)
    {
        try
        {
            return element.ValueKind switch
            {
                JsonValueKind.String => element.GetString() is not null,
                JsonValueKind.Array => element.EnumerateArray().All(IsText),
                JsonValueKind.Object => element.EnumerateObject().All(field => field.Name is not null && IsText(field.Value)),
                _ => true,
            };
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }
}
