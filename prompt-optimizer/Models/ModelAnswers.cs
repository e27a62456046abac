using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moebius.PromptOptimizer.Models;

/// <summary>An answer that cannot be used, whatever its HTTP status says.</summary>
/// <param name="problem">What is wrong with it, without a word of it.</param>
/// <param name="detail">The endpoint's own words, for the job's owner.</param>
internal sealed class UnusableAnswerException(string problem, string detail = "") : Exception(problem)
{
    /// <summary>The endpoint's own words, for the job's owner.</summary>
    public string Detail { get; } = detail;
}

/// <summary>
/// Stands between a chat endpoint and the client library. It bounds what is read, and passes on only what the agents use,
/// in the form that the library reads: that one fails on a reason to finish, a kind of content or a count that it does not
/// know, and endpoints have their own.
/// </summary>
/// <param name="key">The endpoint's key, which its words must not hold.</param>
/// <param name="inner">What calls it.</param>
internal sealed class ModelAnswers(string? key, HttpMessageHandler inner) : DelegatingHandler(inner)
{
    /// <summary>Largest answer read, in bytes. Ours: more than a model that thinks aloud writes.</summary>
    internal const int MaxBytes = 8 * 1024 * 1024;

    /// <summary>Reads a body of at most so many bytes; null if there are more.</summary>
    public static async Task<byte[]?> ReadAsync(HttpContent content, int most, CancellationToken cancel)
    {
        if (content.Headers.ContentLength > most)
            return null;
        var stream = await content.ReadAsStreamAsync(cancel).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            using var body = new MemoryStream();
            var chunk = new byte[16 * 1024];
            int read;
            while ((read = await stream.ReadAsync(chunk, cancel).ConfigureAwait(false)) > 0)
            {
                if (body.Length + read > most)
                    return null;
                body.Write(chunk, 0, read);
            }

            return body.ToArray();
        }
    }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
        try
        {
            var body = await ReadAsync(response.Content, MaxBytes, cancellationToken).ConfigureAwait(false);
            if (response.IsSuccessStatusCode)
                body = Reduce(body ?? throw new UnusableAnswerException($"the answer is larger than {MaxBytes} bytes"));
            var content = new ByteArrayContent(body ?? []);
            content.Headers.ContentType = new("application/json");
            response.Content.Dispose();
            response.Content = content;
            return response;
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    /// <summary>What the agents use of a chat completion.</summary>
    /// <exception cref="UnusableAnswerException">It is none.</exception>
    private byte[] Reduce(byte[] body)
    {
        JsonObject? answer;
        try
        {
            answer = JsonNode.Parse(body) as JsonObject;
        }
        catch (JsonException)
        {
            throw new UnusableAnswerException("the answer is not JSON");
        }

        // Some proxies tell of an error with the status of success.
        if ((answer?["choices"] as JsonArray)?.FirstOrDefault() is not JsonObject choice || choice["message"] is not JsonObject message)
            throw new UnusableAnswerException("the answer has no choices[0].message", ModelCalls.ReadError(body, key).Detail);
        var usage = answer["usage"] as JsonObject;
        var kept = new JsonObject
        {
            ["id"] = "",
            ["object"] = "chat.completion",
            ["created"] = 0,
            ["model"] = "",
            ["choices"] = new JsonArray(new JsonObject
            {
                ["index"] = 0,
                ["finish_reason"] = FinishReason(Text(choice["finish_reason"])),
                ["message"] = new JsonObject { ["role"] = "assistant", ["content"] = Content(message["content"]), ["refusal"] = Text(message["refusal"]) },
            }),
            ["usage"] = new JsonObject { ["prompt_tokens"] = Count(usage?["prompt_tokens"]), ["completion_tokens"] = Count(usage?["completion_tokens"]), ["total_tokens"] = 0 },
        };
        return JsonSerializer.SerializeToUtf8Bytes(kept);
    }

    /// <summary>Only that an answer was cut off or withheld makes a difference.</summary>
    private static string FinishReason(string? reason) => reason switch
    {
        "length" or "max_tokens" or "max_length" or "MAX_TOKENS" => "length",
        "content_filter" => "content_filter",
        _ => "stop",
    };

    /// <summary>The text, which some endpoints give in parts, what the model thought among them.</summary>
    private static string? Content(JsonNode? content) => content is JsonArray parts
        ? string.Concat(parts.OfType<JsonObject>().Where(part => Text(part["type"]) == "text").Select(part => Text(part["text"])))
        : Text(content);

    private static string? Text(JsonNode? node)
    {
        try
        {
            return node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
        }
        catch (InvalidOperationException)
        {
            throw new UnusableAnswerException("a text of the answer holds half of a surrogate pair");
        }
    }

    private static int Count(JsonNode? node) => node is JsonValue value && value.TryGetValue<int>(out var count) && count > 0 ? count : 0;
}
