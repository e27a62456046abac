using System.Collections.Frozen;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Moebius.Inference.Constraints;
using Moebius.Inference.Engine;
using Moebius.Inference.Text.Tokenization;
using Moebius.Inference.Tools;

namespace Moebius.Inference.Server;

/// <summary>A request that has been checked whole: what to generate and how to answer.</summary>
/// <param name="Common">Fields that both endpoints have.</param>
/// <param name="Prompts">Token ids of each prompt.</param>
/// <param name="MaxTokens">Limit of each output; null: what the context leaves.</param>
/// <param name="Echo">What to put before the outputs, one per prompt; null: nothing.</param>
/// <param name="PromptField">The field to blame when a prompt is too long.</param>
/// <param name="LimitField">The field to blame when the output cannot fit.</param>
internal sealed record PreparedRequest(
    CompletionRequest Common,
    IReadOnlyList<int[]> Prompts,
    int? MaxTokens,
    IReadOnlyList<EchoedPrompt>? Echo,
    string PromptField,
    string LimitField)
{
    private const int MostPrompts = 256;

    /// <summary>A prompt that is longer than so many contexts is not counted to its end: that would take long, and help nobody.</summary>
    public const int CountedContexts = 8;

    /// <summary>What each output must look like; null: anything.</summary>
    public OutputGrammar? Grammar { get; init; }

    /// <summary>What is said where <see cref="Grammar"/> turns out to be too ambiguous.</summary>
    public Func<ApiException> Ambiguous { get; init; } = ResponseFormat.TooAmbiguous;

    /// <summary>Makes what tells an output's parts apart.</summary>
    public Func<IAnswerReader> Reader { get; init; } = static () => new PlainReader();

    /// <summary>More than one call may be made; otherwise the first one ends the output.</summary>
    public bool ManyCalls { get; init; } = true;

    /// <summary>Tokens of an answer where nobody says how many; no more than the context has room for.</summary>
    public int DefaultTokens { get; init; } = int.MaxValue;

    /// <summary>Special tokens that count as text.</summary>
    public IReadOnlySet<int> ShownTokens { get; init; } = FrozenSet<int>.Empty;

    /// <summary>Reads a request for <c>/v1/completions</c>.</summary>
    public static PreparedRequest Completion(JsonElement root, ServedModel model)
    {
        var body = new RequestBody(root);
        var logprobs = body.Integer("logprobs", 0, 20);
        var common = CompletionRequest.Read(body, model.Vocabulary, logprobs);
        var maxTokens = body.Integer("max_tokens", 0, int.MaxValue);
        if (!string.IsNullOrEmpty(body.Text("suffix")))
            throw ApiException.Invalid("suffix", "'suffix' is not supported: this model only continues a prompt.");
        var echo = body.Flag("echo") ?? false;
        if (maxTokens == 0 && !echo)
            throw ApiException.Invalid("max_tokens", "'max_tokens' is 0: without 'echo' it must be at least 1.");
        var special = body.Flag("add_special_tokens") ?? true;
        var prompts = ReadPrompts(body, model, special);
        var format = ResponseFormat.Read(body, common.GoesOn);
        if (format is not null && echo)
            throw ApiException.Invalid("echo", "'echo' together with 'response_format' is not supported.");
        body.RefuseOthers();
        return new PreparedRequest(common, [.. prompts.Select(prompt => prompt.Tokens)], maxTokens, echo ? [.. prompts.Select(prompt => new EchoedPrompt(model.Tokenizer, prompt.Tokens, prompt.Text))] : null, "prompt", "max_tokens") { DefaultTokens = 16, Grammar = Kept(format, model, ResponseFormat.TooAmbiguous) };
    }

    /// <summary>Reads a request for <c>/v1/chat/completions</c>.</summary>
    public static PreparedRequest Chat(JsonElement root, ServedModel model, TimeProvider clock)
    {
        var body = new RequestBody(root);
        var logprobs = body.Flag("logprobs") ?? false;
        var top = body.Integer("top_logprobs", 0, 20);
        if (top is not null && !logprobs)
            throw ApiException.Invalid("top_logprobs", "'top_logprobs' is allowed only when 'logprobs' is true.");
        var common = CompletionRequest.Read(body, model.Vocabulary, logprobs ? top ?? 0 : null);
        var maxTokens = body.Integer("max_completion_tokens", 1, int.MaxValue);
        var older = body.Integer("max_tokens", 1, int.MaxValue);
        if (maxTokens is not null && older is not null && older != maxTokens)
            throw ApiException.Invalid("max_tokens", $"'max_tokens' is {older} and 'max_completion_tokens' {maxTokens}: they are two names of one limit, give one of them.");
        var field = maxTokens is null && older is not null ? "max_tokens" : "max_completion_tokens";
        var messages = ChatMessages.Read(body);
        var tools = ToolRequest.Read(body);
        var format = ResponseFormat.Read(body, common.GoesOn);
        var callable = tools.Callable(common.GoesOn);
        if (format is not null && callable is not null)
            throw ApiException.Invalid("response_format", "'response_format' together with a 'tool_choice' that asks for a call is not supported: the answer is the call.");
        var open = body.Flag("add_generation_prompt") ?? true;
        var variables = Variables(body);
        CompletionRequest.Only(body, "continue_final_message", false, "the template ends each message");
        body.RefuseOthers();
        var text = Prompt(body, model, messages, tools, open, variables, clock);
        var start = ReasoningFormat.Start(model.ToolCallParser, model.ReasoningParser, text);
        var kept = callable is not null ? tools.Grammar(callable, model, start) : format is not null ? ResponseFormat.Answer(format, model, start) : null;
        Func<ApiException> ambiguous = format is null ? ToolRequest.TooAmbiguous : ResponseFormat.TooAmbiguous;
        return new PreparedRequest(common, [Encode(model, text, false, "messages")], maxTokens ?? older, null, "messages", field)
        {
            Grammar = Kept(kept, model, ambiguous),
            Ambiguous = ambiguous,
            Reader = () => tools.Reader(model, start, format is not null),
            ManyCalls = tools.Parallel,
            ShownTokens = model.Markers(tools.Offered is not null && !tools.Forced && format is null),
        };
    }

    /// <summary>The text of a conversation.</summary>
    internal static string Prompt(RequestBody body, ServedModel model, JsonElement messages, ToolRequest tools, bool open, JsonElement? variables, TimeProvider clock)
    {
        // Each is a token at least, and to render very many takes long.
        if (messages.GetArrayLength() > model.ContextLength)
            throw ApiException.Invalid("messages", $"'messages' has {messages.GetArrayLength()} messages: the context has {model.ContextLength} tokens.", "context_length_exceeded");
        if (model.Template is not { } template)
            throw new ApiException(400, "invalid_request_error", $"The model '{model.Name}' has no chat template: use /v1/completions.", "messages");
        TemplateCheck.Fields(template, body, messages, tools);
        return ChatPrompt.Render(template, body, messages, tools.Offered, open, variables, clock);
    }

    /// <exception cref="ApiException">The grammar is too ambiguous.</exception>
    private static OutputGrammar? Kept(GrammarNode? root, ServedModel model, Func<ApiException> ambiguous)
    {
        try
        {
            return root is null ? null : new OutputGrammar(root, model.Trie);
        }
        catch (AmbiguousGrammarException)
        {
            throw ambiguous();
        }
    }

    /// <summary>The sequences to generate: for each prompt, each choice.</summary>
    /// <exception cref="ApiException">A prompt does not fit, or there are more sequences than the server takes.</exception>
    public IReadOnlyList<EngineRequest> Sequences(ServedModel model, Tenant tenant, PublicText shared, int capacity)
    {
        if (Prompts.Count * Common.Choices > capacity)
            throw ApiException.Invalid(Prompts.Count > 1 ? PromptField : "n", $"The request asks for {Prompts.Count * Common.Choices} sequences: this server takes at most {capacity} at once.");
        var sequences = new List<EngineRequest>();
        foreach (var (prompt, i) in Prompts.Select((prompt, i) => (prompt, i)))
        {
            if (prompt.Length == 0)
                throw ApiException.Invalid(PromptField, $"'{PromptField}' has no tokens{(Prompts.Count > 1 ? $" at its place {i}" : "")}.");
            var room = model.ContextLength - prompt.Length;
            var least = MaxTokens == 0 ? 0 : 1;
            if (room < least)
                throw ApiException.Invalid(PromptField, $"'{PromptField}' has {prompt.Length} tokens: {(least == 0 ? "" : "with at least one token of output, ")}at most {model.ContextLength - least} fit.", "context_length_exceeded");
            if (MaxTokens > room)
                throw ApiException.Invalid(LimitField, $"'{LimitField}' is {MaxTokens}: after the {prompt.Length} tokens of '{PromptField}', {room} of {model.ContextLength} are left.", "context_length_exceeded");
            var limit = MaxTokens ?? Math.Min(DefaultTokens, room);
            if (Common.MinTokens > limit)
                throw ApiException.Invalid("min_tokens", $"'min_tokens' is {Common.MinTokens}: at most {limit} tokens are generated{(MaxTokens is null ? $", for want of '{LimitField}'" : $", which is '{LimitField}'")}.");
            var publicTokens = shared.Tokens(prompt, model.Tokenizer);
            var choices = new ChoiceGroup(Common.Choices);
            for (var choice = 0; choice < Common.Choices; choice++)
            {
                var sampling = Common.Sampling with { Seed = unchecked(Common.Sampling.Seed + choice) };
                sequences.Add(new EngineRequest(prompt, sampling, limit, tenant)
                {
                    Stop = Common.Stop,
                    IgnoreEndOfSequence = Common.IgnoreEndOfSequence,
                    StopTokens = Common.StopTokens,
                    MinTokens = Common.MinTokens,
                    PublicTokens = publicTokens,
                    Grammar = Grammar,
                    ShownTokens = ShownTokens,
                    Choices = choices,
                    // The choices of one prompt share it.
                    Scores = choice == 0 && Echo is not null && Common.Sampling.Logprobs is { } alternatives ? new PromptScores(prompt, alternatives) : null,
                });
            }
        }

        return sequences;
    }

    private static List<(int[] Tokens, string? Text)> ReadPrompts(RequestBody body, ServedModel model, bool special)
    {
        if (body.Get("prompt") is not { } prompt)
            throw ApiException.Invalid("prompt", "'prompt' is required.", "missing_required_parameter");
        if (prompt.ValueKind == JsonValueKind.String)
            return [Encoded(prompt, "prompt")];
        if (prompt.ValueKind != JsonValueKind.Array)
            throw body.Wrong("prompt", "a string or an array of strings, token ids or arrays of token ids", prompt);
        if (prompt.GetArrayLength() == 0)
            throw ApiException.Invalid("prompt", "'prompt' is empty: at least one prompt is needed.");
        if (prompt[0].ValueKind == JsonValueKind.Number)
            return [(TokenIds.Prompt(prompt, "prompt", model), null)];
        return prompt.GetArrayLength() > MostPrompts
            ? throw ApiException.Invalid("prompt", $"'prompt' has {prompt.GetArrayLength()} prompts: at most {MostPrompts} are allowed.")
            : [.. prompt.EnumerateArray().Select((item, i) => item.ValueKind == JsonValueKind.Array ? (TokenIds.Prompt(item, $"prompt[{i}]", model), null) : Encoded(item, $"prompt[{i}]"))];

        (int[] Tokens, string? Text) Encoded(JsonElement value, string name)
        {
            var text = RequestBody.String(value, name);
            return (Encode(model, text, special, name), text);
        }
    }

    /// <summary>Tokens of a text that are counted.</summary>
    internal static int MostCounted(ServedModel model) => (int)Math.Min(int.MaxValue - 1L, (long)CountedContexts * model.ContextLength);

    internal static int[] Encode(ServedModel model, string text, bool special, string name)
    {
        var most = MostCounted(model);
        List<int> ids;
        bool fits;
        try
        {
            fits = model.Tokenizer.TryEncode(text, special, most, out ids);
        }
        catch (RegexMatchTimeoutException)
        {
            throw ApiException.Invalid(name, $"'{name}' cannot be cut into tokens within {PatternTime.Most.TotalSeconds:0} seconds: the model's tokenizer has an expression for which this text is too hard. Send another text, or token ids.", "text_too_hard");
        }

        if (!fits)
            throw ApiException.Invalid(name, $"'{name}' has more than {most} tokens: with at least one token of output, at most {model.ContextLength - 1} fit.", "context_length_exceeded");
        // A tokenizer may have tokens that the model was never given; one of them would fail the step with all that is in it.
        var strange = ids.FindIndex(id => id >= model.Vocabulary);
        return strange < 0 ? [.. ids] : throw ApiException.Invalid(name, $"'{name}' has the token {ids[strange]}: the tokenizer knows it, but the model's token ids end at {model.Vocabulary - 1}.");
    }

    internal static JsonElement? Variables(RequestBody body)
    {
        var variables = new JsonObject();
        if (body.Object("chat_template_kwargs") is { } more)
        {
            foreach (var field in more.Fields())
            {
                if (field.Name is "messages" or "tools" or "add_generation_prompt")
                    throw ApiException.Invalid(more.Name(field.Name), $"'{more.Name(field.Name)}' must be given as '{field.Name}'.");
                variables[field.Name] = JsonNode.Parse(field.Value.GetRawText());
            }
        }

        if (body.Text("reasoning_effort") is { } effort)
            variables["reasoning_effort"] = effort;
        return variables.Count == 0 ? null : JsonSerializer.SerializeToElement(variables);
    }
}
