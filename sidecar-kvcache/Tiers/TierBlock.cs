using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>A block as a tier outside the arena knows it.</summary>
/// <param name="Id">Its name in its visibility domain.</param>
/// <param name="Model">The model, as <see cref="BlockChain.NameOf"/> names it.</param>
/// <param name="Owner">The tenant of a private block; default for a public one.</param>
/// <param name="Reason">Why it is public; null: private.</param>
/// <param name="Depth">Blocks before it in its prompt.</param>
/// <param name="IsUndecided">A private one about whose text nothing is known yet.</param>
/// <param name="Origin">Who committed a public one; null: nobody known.</param>
internal readonly record struct TierBlock(
    BlockId Id, BlockId Model, TenantKey Owner, PublicReason? Reason, int Depth, bool IsUndecided = false, TenantKey? Origin = null)
{
    public bool IsPublic => Reason is not null;
}

/// <summary>A block that has been brought back from a tier.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Reason">Why it is public; null: it is not.</param>
/// <param name="IsUndecided">A private one about whose text nothing is known yet.</param>
/// <param name="WrittenAt">Milliseconds since 1970.</param>
/// <param name="Origin">Who committed a public one; null: nobody known.</param>
internal readonly record struct StagedBlock(BlockId Id, PublicReason? Reason, bool IsUndecided, long WrittenAt, TenantKey? Origin)
{
    /// <param name="record">The block's.</param>
    /// <param name="origins">What origins are sealed with; null: none can be read.</param>
    public static StagedBlock Of(SegmentRecord record, TenantSecret? origins) =>
        new(record.Block.Id, record.Block.Reason, record.Block.IsUndecided, record.WrittenAt, record.OriginUnder(origins));
}
