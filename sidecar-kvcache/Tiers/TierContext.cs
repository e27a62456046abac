using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Tiers;

/// <summary>What copying between the arena and other tiers needs of the cache.</summary>
/// <param name="Arena">Where the blocks' bytes are.</param>
/// <param name="Policy">The policy in force.</param>
/// <param name="TryBeginCopy">Keeps the arena's division until <paramref name="EndCopy"/>; false when it has changed already.</param>
/// <param name="EndCopy">Ends what <paramref name="TryBeginCopy"/> began.</param>
/// <param name="Master">The mounted secret; null: there is none.</param>
internal sealed record TierContext(
    ArenaFile Arena, Func<CompiledPolicy> Policy, Func<Layout, bool> TryBeginCopy, Action<Layout> EndCopy, MasterSecret? Master = null);

/// <summary>A prompt whose blocks are to be copied, and on whose behalf.</summary>
/// <param name="Secret">The tenant's keys; null: its private blocks stay in the arena.</param>
internal sealed record TierJob(Layout Layout, IndexRoot Root, TenantKey Tenant, TenantSecret? Secret, uint[] Tokens, View View)
{
    private const int Overhead = 256;

    /// <summary>Bytes of memory that it takes while it waits.</summary>
    public long Bytes => Overhead + ((long)sizeof(uint) * Tokens.Length);
}
