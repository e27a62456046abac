namespace Moebius.Inference.Models;

/// <summary>More than any published model has. What is made for each layer, head or expert before the first weight is looked for stays small with them.</summary>
internal static class ModelLimits
{
    public const int Layers = 1024;

    public const int Heads = 4096;

    /// <summary>Of a layer.</summary>
    public const int Experts = 4096;

    /// <summary>A size, and a product of sizes that is one side of a matrix.</summary>
    public const int Size = 16_777_216;
}
