using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Agents;

/// <summary>Adds setting, composition, light, palette and medium (arXiv 2509.12446, scene and style).</summary>
internal sealed class SceneAndStyle(IChatModel model)
{
    public const string Name = "scene-and-style";

    private readonly StructuredAgent _agent = new(Name, nameof(SceneAndStyle));

    /// <param name="request">The user's text.</param>
    /// <param name="intent">What it means.</param>
    /// <param name="previous">The best draft so far; null in the first round.</param>
    /// <param name="issues">What the evaluation found wrong with it.</param>
    /// <param name="meter">The job's token budget.</param>
    /// <param name="cancel">Ends the call.</param>
    public async Task<PromptDraft> WriteAsync(string request, Intent intent, PromptDraft? previous, IReadOnlyList<string> issues, TokenMeter meter, CancellationToken cancel)
    {
        var input = new JsonObject
        {
            ["request"] = request,
            ["intent"] = JsonSerializer.SerializeToNode(intent, Manifests.Json),
        };
        // The chain of thought has done its work in the other fields.
        input["intent"]!.AsObject().Remove("reasoning");
        if (previous is not null)
        {
            input["previous"] = JsonSerializer.SerializeToNode(previous, Manifests.Json);
            input["issues"] = JsonSerializer.SerializeToNode(issues, Manifests.Json);
        }

        return (await _agent.AskAsync<PromptDraft>(model, input, meter, cancel).ConfigureAwait(false)).Clean();
    }
}
