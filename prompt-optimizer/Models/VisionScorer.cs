using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;
using Moebius.Crds;
using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Models;

/// <summary>What the model sees of one element.</summary>
internal sealed record VisibleVerdict(int Number, bool Visible);

/// <summary>The model's answer, as the schema has it.</summary>
internal sealed record VisionAnswer(IReadOnlyList<VisibleVerdict> Elements, IReadOnlyList<string> Contradictions, IReadOnlyList<string> Defects);

/// <summary>Asks a vision-language model whether an image shows the intent (arXiv 2509.12446, self-evaluation on images).</summary>
internal sealed class VisionScorer(IChatModel model)
{
    public const string Name = "vision-scorer";

    private readonly StructuredAgent _agent = new(Name, nameof(VisionScorer));

    public async Task<VisionScore> ScoreAsync(Intent intent, string? feedback, GeneratedImage image, TokenMeter meter, CancellationToken cancel)
    {
        var input = new JsonObject
        {
            ["elements"] = SelfEvaluation.NumberedElements(intent),
            ["exclusions"] = JsonSerializer.SerializeToNode(intent.Exclusions, Manifests.Json),
        };
        if (feedback is not null)
            input["feedback"] = feedback;
        var answer = await _agent.AskAsync<VisionAnswer>(model, input, meter, cancel, new DataContent(image.Bytes, image.MediaType)).ConfigureAwait(false);
        return Scoring.Verify(intent, answer);
    }
}
