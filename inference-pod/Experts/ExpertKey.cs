namespace Moebius.Inference.Experts;

/// <summary>One expert of one MoE layer.</summary>
/// <param name="Layer">Index among the MoE layers.</param>
/// <param name="Expert">Index within the layer.</param>
internal readonly record struct ExpertKey(int Layer, int Expert);
