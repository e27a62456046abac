namespace Moebius.PromptOptimizer.Agents;

/// <summary>What the user wants, said and unsaid (PromptSculptor, arXiv 2509.12446, the intent-inference agent).</summary>
/// <param name="Reasoning">The chain of thought, in short.</param>
/// <param name="Subject">Who or what the image is about.</param>
/// <param name="Elements">What the image must show for the request to be met; the self-evaluation checks each.</param>
/// <param name="Unsaid">What the user left open and a good image must decide.</param>
/// <param name="Exclusions">What the user asked not to show.</param>
/// <param name="Occasion">The purpose of the image; empty if none was named or implied.</param>
/// <param name="Mood">The mood asked for or implied.</param>
internal sealed record Intent(
    string Reasoning,
    string Subject,
    IReadOnlyList<string> Elements,
    IReadOnlyList<string> Unsaid,
    IReadOnlyList<string> Exclusions,
    string Occasion,
    string Mood);
