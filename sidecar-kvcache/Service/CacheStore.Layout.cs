using System.Security.Cryptography;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Service;

// How the arena is divided, and who keeps it so.
internal sealed partial class CacheStore
{
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
            if (_layout != layout)
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
