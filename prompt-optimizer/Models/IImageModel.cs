using Moebius.Crds.V1Alpha1;
using Moebius.PromptOptimizer.Agents;
using Moebius.PromptOptimizer.Dialects;

namespace Moebius.PromptOptimizer.Models;

/// <summary>What an image is made from.</summary>
/// <param name="Positive">What it should show, in the dialect of the model.</param>
/// <param name="Negative">What it should not show; empty where the dialect has no such prompt.</param>
internal sealed record ImagePrompt(string Positive, string Negative)
{
    /// <param name="dialect">The model's dialect.</param>
    /// <param name="draft">The draft.</param>
    /// <param name="kept">Words of it that show what was asked for.</param>
    public static ImagePrompt Of(PromptDialect dialect, PromptDraft draft, IReadOnlyList<string> kept) =>
        new(Dialects.Dialect.Write(dialect, draft, kept), dialect == PromptDialect.StableDiffusion ? StableDiffusion.Negative(draft) : "");
}

/// <summary>Makes images.</summary>
internal interface IImageModel : IDisposable
{
    /// <summary>The dialect of its prompts.</summary>
    PromptDialect Dialect { get; }

    /// <summary>Whether its HTTP 400 means that it refuses a prompt, by content rules of its own, and not the request.</summary>
    bool RefusesPrompts { get; }

    /// <exception cref="ModelUnavailableException">Worth trying again later.</exception>
    /// <exception cref="ModelRejectedException">The endpoint refuses the prompt or the request.</exception>
    Task<GeneratedImage> GenerateAsync(ImagePrompt prompt, CancellationToken cancel);
}

/// <summary>
/// How diffusion servers are asked to draw. The figures are ours, and such that the common checkpoints of a family draw
/// well with them: models whose guidance is distilled in, as FLUX's, take none, and so no negative prompt.
/// </summary>
/// <param name="Steps">Steps of the sampler.</param>
/// <param name="Guidance">How closely the prompt is followed (CFG scale).</param>
/// <param name="Sampler">ComfyUI's name of the sampler.</param>
/// <param name="Scheduler">ComfyUI's name of the scheduler.</param>
internal sealed record Drawing(int Steps, double Guidance, string Sampler, string Scheduler)
{
    public static Drawing For(PromptDialect dialect) => dialect == PromptDialect.Flux
        ? new(20, 1, "euler", "simple")
        : new(25, 7, "dpmpp_2m", "karras");
}
