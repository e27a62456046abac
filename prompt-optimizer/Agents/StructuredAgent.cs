using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;
using Moebius.Crds;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Agents;

/// <summary>The model did not produce what its schema asks for, twice. The message says what was wrong, never what it wrote.</summary>
internal sealed class InvalidOutputException(string agent, string problem)
    : Exception($"agent {agent}: the model's answer did not fit its JSON schema, also after being told so: {problem}. Use a model that follows instructions and can answer in JSON.")
{
    public string Agent { get; } = agent;
}

/// <summary>
/// One question to a model with an answer of a fixed shape. User text goes in as a JSON value of the user message and
/// never into the instructions; the answer counts only if it fits the schema; one more try is made with the error.
/// </summary>
internal sealed class StructuredAgent(string name, string resource)
{
    /// <summary>Tokens of a first answer. Ours: room for the longest answer that fits the schemas, inside small contexts.</summary>
    internal const int AnswerTokens = 1200;

    /// <summary>Tokens of a second answer after one that was cut off, for models that reason before they answer.</summary>
    internal const int LongAnswerTokens = 4800;

    private readonly string _instructions = Resources.Text($"{resource}.md");
    private readonly AgentSchema _schema = new(Resources.Text($"{resource}.schema.json"));

    public string Name { get; } = name;

    /// <exception cref="InvalidOutputException">No valid answer in two tries.</exception>
    /// <exception cref="BudgetExhaustedException">The job's tokens do not suffice for another call.</exception>
    public async Task<T> AskAsync<T>(IChatModel model, JsonObject input, TokenMeter meter, CancellationToken cancel, DataContent? image = null)
    {
        // Without escapes for letters outside ASCII, which cost a small model most of its context.
        var text = input.ToJsonString(Manifests.Json);
        var question = new ChatMessage(ChatRole.User, text);
        if (image is not null)
            question.Contents.Add(image);
        List<ChatMessage> messages =
        [
            new(ChatRole.System, $"{_instructions}\n\nAnswer with one JSON object and nothing else. Its JSON schema:\n{_schema.WireText}"),
            question,
        ];
        var wanted = AnswerTokens;
        for (var attempt = 1; ; attempt++)
        {
            var answer = await model.AskAsync(new(Name, messages, _schema.Wire, wanted), meter, cancel).ConfigureAwait(false);
            var problem = Read<T>(answer, out var result);
            if (problem is null)
                return result!;
            meter.Invalid(Name);
            if (attempt == 2)
                throw new InvalidOutputException(Name, problem);
            if (answer.CutOff)
                wanted = LongAnswerTokens;
            else if (answer.Text.Length > 0)
                messages.Add(new(ChatRole.Assistant, answer.Text.Length > 4000 ? answer.Text[..4000] : answer.Text));
            messages.Add(new(ChatRole.User, $"That answer was not accepted: {problem}. Answer again with one JSON object that fits the schema, and nothing else."));
        }
    }

    private string? Read<T>(ChatAnswer answer, out T? result)
    {
        result = default;
        if (answer.Withheld)
            return "the model refused to answer, or a filter of the endpoint took the answer away";
        var json = JsonExtraction.FindObject(answer.Text);
        if (json is null)
            return answer.CutOff
                ? $"no complete JSON object in the answer, which was cut off after {answer.OutputTokens} tokens"
                : "no JSON object in the answer";
        if (_schema.Problem(json) is { } problem)
            return problem;
        try
        {
            result = JsonSerializer.Deserialize<T>(json, Manifests.Json);
            return result is null ? "object: empty" : null;
        }
        catch (JsonException error)
        {
            return $"{error.Path ?? "object"}: wrong type";
        }
    }
}
