using System.Text.Json.Nodes;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Agents;

/// <summary>Reasons over what the user wants and left unsaid (arXiv 2509.12446, intent inference).</summary>
internal sealed class IntentInference(IChatModel model)
{
    public const string Name = "intent-inference";

    private readonly StructuredAgent _agent = new(Name, nameof(IntentInference));

    public Task<Intent> InferAsync(string request, TokenMeter meter, CancellationToken cancel) =>
        _agent.AskAsync<Intent>(model, new JsonObject { ["request"] = request }, meter, cancel);
}
