using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>Decides which blocks of a prompt a tenant may have from a tier outside the arena. Pure.</summary>
internal static class TierPlan
{
    /// <summary>The blocks that continue a prefix, in order, up to the first that is missing.</summary>
    /// <remarks>
    /// A public block is taken only while everything before it is public: what was taken back from the public must not
    /// be reached by way of its descendants. Beyond that, and for a tenant that sees its own entries only, nothing but
    /// the tenant's own names are asked for; another tenant's blocks have names that cannot be formed here.
    /// </remarks>
    /// <param name="chain">The prompt's blocks.</param>
    /// <param name="from">Blocks that the arena has.</param>
    /// <param name="endsPublic">All of those are public.</param>
    /// <param name="view">How far the tenant may see.</param>
    /// <param name="secret">The tenant's keys; null: it has no private blocks outside the arena.</param>
    /// <param name="find">Looks a name up; null when there is no such block.</param>
    /// <param name="isPublic">Whether the prompt's block at this place, found under its public name, may still be public.</param>
    public static List<SsdEntry> Continue(
        BlockChain chain, int from, bool endsPublic, View view, TenantSecret? secret, Func<BlockId, SsdEntry?> find, Func<int, SsdEntry, bool> isPublic)
    {
        var entries = new List<SsdEntry>();
        var allPublic = endsPublic && view == View.Shared;
        for (var block = from; block < chain.Count; block++)
        {
            var entry = allPublic && find(chain.Public(block)) is { Block.IsPublic: true } shared && isPublic(block, shared) ? shared : null;
            if (entry is null && secret is not null)
            {
                entry = find(chain.Private(block, secret));
                allPublic = false;
            }

            if (entry is null)
                break;
            entries.Add(entry);
        }

        return entries;
    }
}
