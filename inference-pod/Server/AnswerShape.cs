using System.IO.Pipelines;
using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Inference.Engine;
using Moebius.Inference.Text;
using Moebius.Inference.Text.Tokenization;

namespace Moebius.Inference.Server;

/// <summary>Writes answers as one of the two endpoints does.</summary>
internal abstract class AnswerShape(string model, Tokenizer tokenizer, DateTimeOffset now, string idPrefix)
{
    protected const string LogprobsField = "logprobs";

    private const string Choices = "choices";

    private readonly string _id = idPrefix + Guid.NewGuid().ToString("N");

    protected Tokenizer Tokenizer => tokenizer;

    protected abstract string WholeObject { get; }

    protected abstract string ChunkObject { get; }

    /// <summary>A complete choice.</summary>
    public abstract JsonObject Choice(int index, AnswerDelta answer, IEnumerable<ChosenToken>? tokens, string finish);

    /// <summary>What opens a choice in a stream, or null.</summary>
    public abstract JsonObject? Opening(int index);

    /// <summary>A part of a choice in a stream.</summary>
    public abstract JsonObject Delta(int index, AnswerDelta delta, IEnumerable<ChosenToken>? tokens, string? finish);

    /// <summary>A choice begins with its prompt.</summary>
    /// <param name="index">Of the choice.</param>
    /// <param name="echo">The prompt.</param>
    public virtual void Begin(int index, EchoedPrompt echo)
    {
    }

    public JsonObject Whole(JsonArray choices, JsonObject usage) => Envelope(WholeObject, choices, usage);

    /// <summary>
    /// Writes an answer with log-probabilities as it goes: 20 for each of some thousand tokens are a hundred megabytes of JSON
    /// in memory, and there may be many such answers at once.
    /// </summary>
    /// <param name="to">Where to.</param>
    /// <param name="choices">Each without its log-probabilities, and its tokens.</param>
    /// <param name="usage">Tokens counted.</param>
    /// <param name="stop">The client has left.</param>
    public async Task WriteAsync(PipeWriter to, IReadOnlyList<(JsonObject Choice, IEnumerable<ChosenToken> Tokens)> choices, JsonObject usage, CancellationToken stop)
    {
        await using var pipe = new JsonPipe(to);
        var json = pipe.Json;
        json.WriteStartObject();
        foreach (var (name, value) in Envelope(WholeObject, [], usage))
        {
            json.WritePropertyName(name);
            if (name != Choices)
            {
                Write(json, value);
                continue;
            }

            json.WriteStartArray();
            foreach (var (index, (choice, tokens)) in choices.Index())
                await WriteAsync(pipe, choice, Logprobs(index, tokens), stop).ConfigureAwait(false);
            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    public JsonObject Chunk(JsonArray choices, JsonObject? usage, bool usageField)
    {
        var chunk = Envelope(ChunkObject, choices, null);
        if (usageField)
            chunk["usage"] = usage;
        return chunk;
    }

    public static JsonObject Usage(IReadOnlyList<Generation> generations, IEnumerable<ChoiceAnswer> answers, int choices)
    {
        // The choices of one prompt share it.
        var prompt = generations.Where((_, i) => i % choices == 0).Sum(generation => generation.Request.Prompt.Length);
        var cached = generations.Where((_, i) => i % choices == 0).Sum(generation => generation.CachedTokens);
        return Usage(prompt, answers.Sum(answer => answer.Tokens), cached);
    }

    public static JsonObject Usage(int prompt, int completion, int cached) => new()
    {
        ["prompt_tokens"] = prompt,
        ["completion_tokens"] = completion,
        ["total_tokens"] = prompt + completion,
        ["prompt_tokens_details"] = new JsonObject { ["cached_tokens"] = cached },
    };

    /// <summary>Log-probabilities: lists with an item for each token, made as they are asked for.</summary>
    /// <param name="index">Of the choice.</param>
    /// <param name="tokens">New tokens of it, gone through once for each list.</param>
    protected abstract IEnumerable<(string Name, IEnumerable<JsonNode?> Items)> Logprobs(int index, IEnumerable<ChosenToken> tokens);

    /// <summary>All of them at once.</summary>
    protected JsonObject? AllLogprobs(int index, IEnumerable<ChosenToken>? tokens) =>
        tokens is null ? null : new(Logprobs(index, tokens).Select(list => KeyValuePair.Create(list.Name, (JsonNode?)new JsonArray([.. list.Items]))));

    private static async Task WriteAsync(JsonPipe pipe, JsonObject choice, IEnumerable<(string Name, IEnumerable<JsonNode?> Items)> logprobs, CancellationToken stop)
    {
        var json = pipe.Json;
        json.WriteStartObject();
        foreach (var (name, value) in choice)
        {
            json.WritePropertyName(name);
            if (name != LogprobsField)
            {
                Write(json, value);
                continue;
            }

            json.WriteStartObject();
            foreach (var (list, items) in logprobs)
            {
                json.WriteStartArray(list);
                foreach (var item in items)
                {
                    Write(json, item);
                    await pipe.SendAsync(stop).ConfigureAwait(false);
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, JsonNode? value)
    {
        if (value is null)
            json.WriteNullValue();
        else
            value.WriteTo(json, JsonStyles.Plain);
    }

    private JsonObject Envelope(string kind, JsonArray choices, JsonObject? usage)
    {
        var envelope = new JsonObject
        {
            ["id"] = _id,
            ["object"] = kind,
            ["created"] = now.ToUnixTimeSeconds(),
            ["model"] = model,
            [Choices] = choices,
        };
        if (usage is not null)
            envelope["usage"] = usage;
        return envelope;
    }
}

/// <summary><c>/v1/completions</c>.</summary>
internal sealed class TextShape(string model, Tokenizer tokenizer, DateTimeOffset now) : AnswerShape(model, tokenizer, now, "cmpl-")
{
    /// <summary>Characters that the tokens of each choice have made so far.</summary>
    private readonly Dictionary<int, int> _written = [];

    protected override string WholeObject => "text_completion";

    protected override string ChunkObject => "text_completion";

    public override JsonObject Choice(int index, AnswerDelta answer, IEnumerable<ChosenToken>? tokens, string finish) => Delta(index, answer, tokens, finish);

    public override JsonObject? Opening(int index) => null;

    public override void Begin(int index, EchoedPrompt echo) => _written[index] = -echo.Taken;

    public override JsonObject Delta(int index, AnswerDelta delta, IEnumerable<ChosenToken>? tokens, string? finish) => new()
    {
        ["index"] = index,
        ["text"] = delta.Content.ToString(),
        [LogprobsField] = AllLogprobs(index, tokens),
        ["finish_reason"] = finish,
    };

    protected override IEnumerable<(string Name, IEnumerable<JsonNode?> Items)> Logprobs(int index, IEnumerable<ChosenToken> tokens) =>
    [
        ("text_offset", tokens.Select(token => (JsonNode?)Advance(index, token.Chosen.Token))),
        ("tokens", tokens.Select(token => (JsonNode?)LogprobText.Of(Tokenizer, token.Chosen.Token))),
        ("token_logprobs", tokens.Select(token => token.First ? null : LogprobText.Number(token.Chosen.Logprob))),
        ("top_logprobs", tokens.Select(Top)),
    ];

    private JsonObject? Top(ChosenToken token)
    {
        if (token.First)
            return null;
        var top = new JsonObject();
        // The chosen one is always among them; of two with one text the likelier one counts.
        foreach (var entry in token.Top.Prepend(token.Chosen))
            top.TryAdd(LogprobText.Of(Tokenizer, entry.Token), LogprobText.Number(entry.Logprob));
        return top;
    }

    /// <summary>Where a token begins, in code points from the beginning of the choice: a byte that continues one begins none.</summary>
    private int Advance(int index, int token)
    {
        var start = _written.GetValueOrDefault(index);
        var begun = 0;
        foreach (var value in Tokenizer.TextBytes(token))
            begun += (value & 0xC0) != 0x80 ? 1 : 0;
        _written[index] = start + begun;
        return Math.Max(0, start);
    }
}

/// <summary><c>/v1/chat/completions</c>.</summary>
internal sealed class ChatShape(string model, Tokenizer tokenizer, DateTimeOffset now) : AnswerShape(model, tokenizer, now, "chatcmpl-")
{
    protected override string WholeObject => "chat.completion";

    protected override string ChunkObject => "chat.completion.chunk";

    public override JsonObject Choice(int index, AnswerDelta answer, IEnumerable<ChosenToken>? tokens, string finish) => new()
    {
        ["index"] = index,
        ["message"] = Message(answer),
        [LogprobsField] = AllLogprobs(index, tokens),
        ["finish_reason"] = finish,
    };

    public override JsonObject? Opening(int index) => new()
    {
        ["index"] = index,
        ["delta"] = new JsonObject { ["role"] = "assistant", ["content"] = "" },
        [LogprobsField] = null,
        ["finish_reason"] = null,
    };

    public override JsonObject Delta(int index, AnswerDelta delta, IEnumerable<ChosenToken>? tokens, string? finish) => new()
    {
        ["index"] = index,
        ["delta"] = Fields(delta, finish is null),
        [LogprobsField] = AllLogprobs(index, tokens),
        ["finish_reason"] = finish,
    };

    private static JsonObject Message(AnswerDelta answer)
    {
        // Beside calls or reasoning, no content is none, not an empty one.
        var message = new JsonObject { ["role"] = "assistant", ["content"] = answer.Content.Length > 0 || (answer.Calls.Count == 0 && answer.Reasoning.Length == 0) ? answer.Content.ToString() : null };
        AddReasoning(message, answer);
        if (answer.Calls.Count > 0)
            message["tool_calls"] = Calls(answer, false);
        return message;
    }

    /// <param name="delta">What is new.</param>
    /// <param name="something">An empty text where there is nothing else.</param>
    private static JsonObject Fields(AnswerDelta delta, bool something)
    {
        var fields = new JsonObject();
        if (delta.Content.Length > 0 || (something && delta.IsEmpty))
            fields["content"] = delta.Content.ToString();
        AddReasoning(fields, delta);
        if (delta.Calls.Count > 0)
            fields["tool_calls"] = Calls(delta, true);
        return fields;
    }

    /// <summary>Under both of its names: clients know the older one, vLLM has the newer one only.</summary>
    private static void AddReasoning(JsonObject fields, AnswerDelta delta)
    {
        if (delta.Reasoning.Length > 0)
            fields["reasoning"] = (string?)(fields["reasoning_content"] = delta.Reasoning.ToString());
    }

    private static JsonArray Calls(AnswerDelta delta, bool streamed) => new([.. delta.Calls.Select(call => (JsonNode)call.Json(streamed))]);

    protected override IEnumerable<(string Name, IEnumerable<JsonNode?> Items)> Logprobs(int index, IEnumerable<ChosenToken> tokens) =>
        [("content", tokens.Select(WithTop))];

    private JsonObject WithTop(ChosenToken token)
    {
        var entry = Entry(token.Chosen);
        entry["top_logprobs"] = new JsonArray([.. token.Top.Select(other => (JsonNode)Entry(other))]);
        return entry;
    }

    private JsonObject Entry(TokenLogprob token) => new()
    {
        ["token"] = LogprobText.Of(Tokenizer, token.Token),
        ["logprob"] = LogprobText.Number(token.Logprob),
        ["bytes"] = new JsonArray([.. Tokenizer.Bytes(token.Token).ToArray().Select(value => (JsonNode)(int)value)]),
    };
}

/// <summary>Tokens and their log-probabilities in JSON.</summary>
internal static class LogprobText
{
    /// <summary>A token's text; one that holds part of a character is written as its bytes.</summary>
    public static string Of(Tokenizer tokenizer, int token)
    {
        var bytes = tokenizer.Bytes(token);
        return System.Text.Unicode.Utf8.IsValid(bytes) ? System.Text.Encoding.UTF8.GetString(bytes) : "bytes:" + string.Concat(bytes.ToArray().Select(value => $"\\x{value:x2}"));
    }

    /// <summary>JSON has no infinity: a token that is impossible gets the number other servers write for it.</summary>
    public static JsonNode Number(float logprob) => float.IsFinite(logprob) ? logprob : -9999.0f;
}
