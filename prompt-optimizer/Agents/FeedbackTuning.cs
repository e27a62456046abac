using System.Text.Json;
using System.Text.Json.Nodes;
using Moebius.Crds;
using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Agents;

/// <summary>A tuned draft and what was changed in it, as the agent says.</summary>
internal sealed record TunedDraft(PromptDraft Draft, IReadOnlyList<string> Changes);

/// <summary>Takes the user's words about a result and changes only what they name (arXiv 2509.12446, feedback tuning).</summary>
internal sealed class FeedbackTuning(IChatModel model)
{
    public const string Name = "feedback-tuning";

    private readonly StructuredAgent _agent = new(Name, nameof(FeedbackTuning));

    /// <param name="request">The user's first text.</param>
    /// <param name="feedback">The user's words about the result.</param>
    /// <param name="previous">The draft the words are about, or the best attempt at following them.</param>
    /// <param name="issues">What the evaluation found wrong with that attempt.</param>
    /// <param name="meter">The job's token budget.</param>
    /// <param name="cancel">Ends the call.</param>
    public async Task<TunedDraft> TuneAsync(string request, string feedback, PromptDraft previous, IReadOnlyList<string> issues, TokenMeter meter, CancellationToken cancel)
    {
        var input = new JsonObject
        {
            ["request"] = request,
            ["draft"] = JsonSerializer.SerializeToNode(previous, Manifests.Json),
            ["feedback"] = feedback,
            ["issues"] = JsonSerializer.SerializeToNode(issues, Manifests.Json),
        };
        var tuned = await _agent.AskAsync<TunedDraft>(model, input, meter, cancel).ConfigureAwait(false);
        return new(tuned.Draft.Clean(), [.. tuned.Changes.Select(PromptDraft.OneLine)]);
    }
}
