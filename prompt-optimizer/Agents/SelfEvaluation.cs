using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Agents;

/// <summary>The agent's verdict on one element of the intent.</summary>
internal sealed record ElementVerdict(int Number, bool Present, string Quote);

/// <summary>The agent's answer, as the schema has it.</summary>
internal sealed record EvaluationAnswer(
    IReadOnlyList<ElementVerdict> Elements,
    IReadOnlyList<string> Contradictions,
    IReadOnlyList<string> Unrequested,
    IReadOnlyList<string> Advice);

/// <summary>Asks whether the refined prompt still says what the user asked (arXiv 2509.12446, self-evaluation).</summary>
internal sealed class SelfEvaluation(IChatModel model)
{
    public const string Name = "self-evaluation";

    private readonly StructuredAgent _agent = new(Name, nameof(SelfEvaluation));

    public Task<EvaluationAnswer> JudgeAsync(string request, string? feedback, Intent intent, PromptDraft draft, TokenMeter meter, CancellationToken cancel)
    {
        var input = new JsonObject
        {
            ["request"] = request,
            ["elements"] = NumberedElements(intent),
            ["exclusions"] = JsonSerializer.SerializeToNode(intent.Exclusions, Manifests.Json),
            ["prompt"] = draft.Prompt,
        };
        if (feedback is not null)
            input["feedback"] = feedback;
        return _agent.AskAsync<EvaluationAnswer>(model, input, meter, cancel);
    }

    /// <summary>The elements by number, so that an answer can name one without repeating its words.</summary>
    internal static JsonArray NumberedElements(Intent intent) =>
        [.. intent.Elements.Select((element, index) => (JsonNode)new JsonObject { ["number"] = index + 1, ["element"] = element })];
}
