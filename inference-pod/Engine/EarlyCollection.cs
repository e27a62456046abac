namespace Moebius.Inference.Engine;

/// <summary>
/// Collects young garbage once there are two megabytes of it. The runtime would wait for as much as the processor's third-level cache
/// is large, tens of megabytes on servers, and what a server takes beside weights and caches is counted.
/// </summary>
internal sealed class EarlyCollection
{
    private const long Enough = 2 << 20;

    private long _allocated = GC.GetTotalAllocatedBytes();
    private int _collections = GC.CollectionCount(0);

    /// <summary>Between two steps: nearly nothing is alive then that is young.</summary>
    public void BetweenSteps()
    {
        long allocated = GC.GetTotalAllocatedBytes();
        int collections = GC.CollectionCount(0);
        if (collections == _collections && allocated - _allocated < Enough)
            return;
        if (collections == _collections)
            GC.Collect(0, GCCollectionMode.Forced, blocking: true);
        (_allocated, _collections) = (allocated, GC.CollectionCount(0));
    }
}
