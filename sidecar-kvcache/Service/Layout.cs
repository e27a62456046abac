using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Service;

/// <summary>The arena as it is divided now, with all that lives in it. A new division means a new epoch and an empty cache.</summary>
internal sealed record Layout(ArenaGeometry Geometry, ulong Epoch, SlotTable Slots, PrefixIndex Index)
{
    /// <summary>Copies between the arena and other tiers that are under way; the arena is not divided anew before they end.</summary>
    public int Copies { get; set; }
}
