using System.Text.Json;

namespace Moebius.Inference.Server;

/// <summary><c>/tokenize</c> and <c>/detokenize</c>, in vLLM's shapes: what clients that count or score tokens ask a server for.</summary>
internal static class TokenizerAnswers
{
    /// <summary>The tokens of a text, or of a conversation as the chat template writes it.</summary>
    /// <returns>The model that was asked for, if one was, and what writes the answer: a tree of a million tokens would be large.</returns>
    public static (string? Model, Func<JsonPipe, CancellationToken, Task> WriteAsync) Tokenize(JsonElement root, ServedModel model, TimeProvider clock)
    {
        var body = new RequestBody(root);
        var name = body.Text("model");
        var withTexts = body.Flag("return_token_strs") ?? false;
        var special = body.Flag("add_special_tokens");
        if (body.Get("prompt") is not null && body.Get("messages") is not null)
            throw ApiException.Invalid("messages", "'messages' together with 'prompt' is not supported: give one of them.");
        int[] tokens;
        if (body.Text("prompt") is { } prompt)
        {
            body.RefuseOthers();
            tokens = PreparedRequest.Encode(model, prompt, special ?? true, "prompt");
        }
        else if (body.Get("messages") is not null)
        {
            // A template writes the tokens around a text itself.
            tokens = PreparedRequest.Encode(model, Conversation(body, model, clock), special ?? false, "messages");
        }
        else
        {
            throw ApiException.Invalid("prompt", "'prompt' or 'messages' is required.", "missing_required_parameter");
        }

        return (name, async (pipe, stop) =>
        {
            var json = pipe.Json;
            json.WriteStartObject();
            json.WriteNumber("count", tokens.Length);
            json.WriteNumber("max_model_len", model.ContextLength);
            json.WriteStartArray("tokens");
            foreach (var token in tokens)
            {
                json.WriteNumberValue(token);
                await pipe.SendAsync(stop).ConfigureAwait(false);
            }

            json.WriteEndArray();
            if (withTexts)
                json.WriteStartArray("token_strs");
            else
                json.WriteNull("token_strs");
            foreach (var token in withTexts ? tokens : [])
            {
                json.WriteStringValue(LogprobText.Of(model.Tokenizer, token));
                await pipe.SendAsync(stop).ConfigureAwait(false);
            }

            if (withTexts)
                json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary>The text of tokens, special ones by their names, so that its tokens are the same again.</summary>
    /// <returns>The model that was asked for, if one was, and what writes the answer.</returns>
    public static (string? Model, Func<JsonPipe, CancellationToken, Task> WriteAsync) Detokenize(JsonElement root, ServedModel model)
    {
        var body = new RequestBody(root);
        var name = body.Text("model");
        if (body.Get("tokens") is not { } tokens)
            throw ApiException.Invalid("tokens", "'tokens' is required.", "missing_required_parameter");
        if (tokens.ValueKind != JsonValueKind.Array)
            throw body.Wrong("tokens", "an array of token ids", tokens);
        body.RefuseOthers();
        var ids = TokenIds.Prompt(tokens, "tokens", model);
        return (name, async (pipe, stop) =>
        {
            pipe.Json.WriteStartObject();
            pipe.Json.WritePropertyName("prompt");
            // In pieces: a million tokens may be many times as many characters.
            foreach (var piece in model.Tokenizer.DecodeInPieces(ids))
            {
                pipe.Json.WriteStringValueSegment(piece, false);
                await pipe.SendAsync(stop).ConfigureAwait(false);
            }

            pipe.Json.WriteStringValueSegment("", true);
            pipe.Json.WriteEndObject();
        });
    }

    private static string Conversation(RequestBody body, ServedModel model, TimeProvider clock)
    {
        var messages = ChatMessages.Read(body);
        var tools = ToolRequest.Read(body);
        var open = body.Flag("add_generation_prompt") ?? true;
        CompletionRequest.Only(body, "continue_final_message", false, "the template ends each message");
        var variables = PreparedRequest.Variables(body);
        body.RefuseOthers();
        return PreparedRequest.Prompt(body, model, messages, tools, open, variables, clock);
    }
}
