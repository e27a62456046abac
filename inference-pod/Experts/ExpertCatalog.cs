namespace Moebius.Inference.Experts;

/// <summary>All routed experts of a model: how each is read, and how many a token needs.</summary>
/// <param name="Layout">Their common buffer layout.</param>
/// <param name="PerLayer">For each MoE layer, in order: one list of reads per expert.</param>
/// <param name="TopK">Experts of a token in a layer; the smallest useful number of buffers.</param>
internal sealed record ExpertCatalog(ExpertLayout Layout, IReadOnlyList<IReadOnlyList<IReadOnlyList<ExpertRead>>> PerLayer, int TopK)
{
    /// <summary>Experts in all layers.</summary>
    public int Count { get; } = PerLayer.Sum(l => l.Count);

    public long TotalBytes => Count * Layout.Bytes;

    /// <summary>The budget below which a layer cannot run.</summary>
    public long MinimumBytes => TopK * Layout.Bytes;
}
