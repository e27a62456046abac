using System.Security.Cryptography;
using Grpc.Core;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Service;

// How the arena is divided, and who keeps it so.
internal sealed partial class CacheStore
{
    /// <summary>How long an engine that needs another division of the arena waits for the copies out of it and into it: it gives up after five seconds itself, and is to hear why.</summary>
    public static readonly TimeSpan CopyPatience = TimeSpan.FromSeconds(4);

    // What the divisions before this one had dropped: counters do not start again with a new one.
    private long _evictedBefore;
    private long _demotedBefore;

    // Engines that wait for copies to end: none begins meanwhile, or there might always be one.
    private int _dividing;

    /// <summary>Waits until nothing is copied that would lie elsewhere in a new division. Under the gate.</summary>
    /// <exception cref="CacheException">A copy does not end.</exception>
    private void WaitForCopies(ArenaGeometry wanted)
    {
        var start = Environment.TickCount64;
        _dividing++;
        try
        {
            while (_sessions.IsEmpty && _layout is { Copies: > 0 } busy && busy.Geometry != wanted)
            {
                var rest = (int)CopyPatience.TotalMilliseconds - (Environment.TickCount64 - start);
                if (rest > 0 && System.Threading.Monitor.Wait(_layoutGate, (int)rest))
                    continue;
                if (busy.Copies > 0 && _layout == busy)
                {
                    throw new CacheException(
                        StatusCode.Unavailable,
                        $"block_bytes: the arena cannot be divided for these blocks: {_tiers.Slowest} has not ended a copy within {CopyPatience.TotalSeconds} seconds: attach again, and if this goes on restart the sidecar");
                }
            }
        }
        finally
        {
            _dividing--;
        }
    }

    /// <summary>Divides the arena anew; what lay in it is lost. Under the gate.</summary>
    private Layout Divide(ArenaGeometry geometry)
    {
        var layout = CreateLayout(geometry);
        if (_layout is { } old)
        {
            _evictedBefore += old.Index.EvictedBlocks;
            _demotedBefore += old.Index.DemotedBlocks;
        }

        return _layout = layout;
    }

    /// <summary>Blocks dropped, and blocks that are not public any more, since start.</summary>
    private (long Evicted, long Demoted) Dropped()
    {
        lock (_layoutGate)
            return (_evictedBefore + (_layout?.Index.EvictedBlocks ?? 0), _demotedBefore + (_layout?.Index.DemotedBlocks ?? 0));
    }

    private Layout CreateLayout(ArenaGeometry geometry)
    {
        var slots = new SlotTable(geometry.SlotCount, (slot, generation) => _arena.PublishGeneration(geometry, slot, generation));
        Layout? layout = null;
        var index = new PrefixIndex(slots, Now)
        {
            OnPublicHit = _monitor.Record,
            OnPromoted = (root, tenant, tokens) => _tiers.Changed(new TierJob(layout!, root, tenant, null, tokens, View.Shared)),
            OnDemoted = _tiers.Demoted,
        };
        return layout = new Layout(geometry, BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)), slots, index);
    }

    private bool TryBeginCopy(Layout layout)
    {
        lock (_layoutGate)
        {
            if (_layout != layout || (_dividing > 0 && _sessions.IsEmpty))
                return false;
            layout.Copies++;
            return true;
        }
    }

    private void EndCopy(Layout layout)
    {
        lock (_layoutGate)
        {
            layout.Copies--;
            System.Threading.Monitor.PulseAll(_layoutGate);
        }
    }
}
