namespace Moebius.Inference.Prefetch;

/// <summary>Loads nothing ahead.</summary>
internal sealed class OnDemandPolicy : IPrefetchPolicy
{
    public int Horizon(int layer) => 0;

    public IReadOnlyList<PrefetchRequest> Begin(ReadOnlySpan<int> tokens) => [];

    public IReadOnlyList<PrefetchRequest> Plan(LayerRouting routing) => [];

    public void Observe(PrefetchFeedback feedback)
    {
    }
}
