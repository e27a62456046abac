namespace Moebius.Inference.Experts;

/// <summary>
/// Which experts have a buffer, filled or being filled: close together in memory, and read without the lock of the cache that
/// writes it. What is read may be a moment old.
/// </summary>
/// <param name="layers">MoE layers.</param>
/// <param name="experts">Experts of a layer.</param>
internal sealed class Residency(int layers, int experts)
{
    private readonly bool[] _present = new bool[layers * experts];
    private volatile bool _full;

    /// <summary>Every buffer has an expert: another can be loaded only in the place of one.</summary>
    public bool IsFull
    {
        get => _full;
        set => _full = value;
    }

    public bool this[ExpertKey key]
    {
        get => _present[(key.Layer * experts) + key.Expert];
        set => _present[(key.Layer * experts) + key.Expert] = value;
    }

    /// <summary>For each expert of a layer, whether it has a buffer.</summary>
    public ReadOnlySpan<bool> Of(int layer) => _present.AsSpan(layer * experts, experts);
}
