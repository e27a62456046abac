using Moebius.PromptOptimizer.Agents;

namespace Moebius.PromptOptimizer.Models.Clip;

/// <summary>CLIP's view of an image.</summary>
/// <param name="Score">The figure.</param>
/// <param name="Note">What the job's owner should know of it; null for nothing.</param>
internal sealed record ClipVerdict(VisionScore Score, string? Note);

/// <summary>
/// How well an image fits what was asked for, by CLIP's similarity. The figure is CLIPScore (Hessel et al. 2021, arXiv
/// 2104.08718): 2.5 times the cosine, no less than 0, here in percent and no more than 100. arXiv 2509.12446 has none.
/// </summary>
internal sealed class ClipScorer(ClipModel model)
{
    public const string Name = "clip-scorer";

    private const double Weight = 2.5;

    /// <param name="request">The request.</param>
    /// <param name="draft">The draft that the image was made from.</param>
    /// <param name="hasFeedback">
    /// Whether there was feedback: the request then no longer says alone what is wanted, and CLIP reads no instructions
    /// ("without the dog" draws it to dogs), so the draft that follows them is compared.
    /// </param>
    /// <param name="image">The image.</param>
    /// <param name="cancel">Ends it.</param>
    /// <exception cref="ModelRejectedException">The image cannot be looked at, or the model cannot be run on it.</exception>
    public async Task<ClipVerdict> ScoreAsync(string request, PromptDraft draft, bool hasFeedback, GeneratedImage image, CancellationToken cancel)
    {
        try
        {
            var (similarity, cut) = await model.CompareAsync(hasFeedback ? draft.Prompt : request, image.Bytes, cancel).ConfigureAwait(false);
            var score = new VisionScore(Percent(similarity), [], [], [], Math.Round(similarity, 4));
            return new(score, cut ? $"the image was compared with the beginning of the {(hasFeedback ? "prompt" : "request")}: CLIP reads no more than {model.MostTokens} tokens" : null);
        }
        catch (UnreadableImageException error)
        {
            throw new ModelRejectedException($"imageModel.endpoint: {error.Message}", "", null, error);
        }
    }

    internal static int Percent(double similarity) => (int)Math.Round(100 * Math.Clamp(Weight * similarity, 0, 1), MidpointRounding.AwayFromZero);
}
