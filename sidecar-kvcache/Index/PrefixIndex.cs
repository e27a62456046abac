using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Moebius.KvCache.Arena;

namespace Moebius.KvCache.Index;

/// <summary>How far a tenant may see.</summary>
internal enum View
{
    /// <summary>Public entries and the tenant's own.</summary>
    Shared,

    /// <summary>Only the tenant's own, as if nobody else existed.</summary>
    OwnOnly,
}

/// <summary>What became of a commit.</summary>
/// <param name="CachedBlocks">Blocks that the tenant now sees, from position 0.</param>
/// <param name="Undecided">First block that nothing is known about yet; equal to <paramref name="CachedBlocks"/> when there is nothing to classify.</param>
internal readonly record struct InsertResult(int CachedBlocks, int Undecided);

/// <summary>
/// The radix tree over token blocks (SafeKV, arXiv 2508.08438, section 4.2): public and private entries in one tree, a
/// root per model, runs of blocks compressed into one node. Public nodes form a tree of their own at the top; a tenant's
/// private runs hang from it, and below a private node everything belongs to the same tenant. Equal private blocks of
/// different tenants are different entries, and a tenant's walk never reads another tenant's entries.
/// </summary>
/// <remarks>Lookups run side by side (one stripe of the lock each); what changes the tree runs alone.</remarks>
internal sealed partial class PrefixIndex
{
    private readonly StripedLock _lock = new();
    private readonly Dictionary<ModelKey, IndexRoot> _roots = [];
    private readonly Dictionary<TenantKey, Owner> _owners = [];
    private readonly Owner _public = new(Owner.PublicId, default);
    private readonly SlotTable _slots;
    private readonly Func<long> _now;
    private long _nextOwner = Owner.PublicId;

    /// <param name="slots">The slots that entries point at.</param>
    /// <param name="now">Milliseconds since any fixed moment.</param>
    public PrefixIndex(SlotTable slots, Func<long> now)
    {
        _slots = slots;
        _now = now;
    }

    /// <summary>Told about every public node that a lookup came through, under the read lock.</summary>
    public Action<IndexNode, TenantKey>? OnPublicHit { get; init; }

    public IndexRoot Root(ModelKey model)
    {
        using (_lock.Write())
        {
            if (!_roots.TryGetValue(model, out var root))
                _roots[model] = root = new IndexRoot(model, BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)), _public);
            return root;
        }
    }

    /// <summary>The longest prefix that the tenant may use, every block of it pinned.</summary>
    public SlotRef[] Lookup(IndexRoot root, TenantKey tenant, ReadOnlySpan<uint> tokens, View view)
    {
        using (_lock.Read())
        {
            _owners.TryGetValue(tenant, out var owner);
            var match = Match(root, owner, tokens, view);
            var found = new SlotRef[match.Depth];
            var now = _now();
            var within = match.Within;
            for (var node = match.Node; node.Parent is not null; node = node.Parent, within = node.Count)
            {
                for (var index = 0; index < within; index++)
                {
                    _slots.Pin(node.Slots[index]);
                    found[node.Start + index] = _slots.Reference(node.Slots[index]);
                }

                Touch(node, now);
                Interlocked.Increment(ref node.Hits);
                if (node.Visibility == Visibility.Public)
                    OnPublicHit?.Invoke(node, tenant);
            }

            return found;
        }
    }

    /// <summary>
    /// Publishes blocks to their tenant. Slots whose block is there already, or whose preceding blocks are gone, are
    /// freed. The caller has taken the slots out of their reservation.
    /// </summary>
    /// <param name="firstBlock">Index of the block in the first slot.</param>
    /// <param name="keep">Blocks at or beyond this index are not kept.</param>
    /// <param name="shareAs">Public at once for this reason; null: private until cleared.</param>
    /// <param name="origin">The domain that public blocks fall back to; null for an anonymous tenant.</param>
    public InsertResult Insert(
        IndexRoot root,
        TenantKey tenant,
        ReadOnlySpan<uint> tokens,
        int firstBlock,
        ReadOnlySpan<int> slots,
        int keep,
        View view,
        PublicReason? shareAs,
        TenantKey? origin)
    {
        using (_lock.Write())
        {
            var owner = GetOrAddOwner(tenant);
            owner.Reserved -= slots.Length;
            var match = Match(root, owner, tokens, view);
            var end = Math.Min(firstBlock + slots.Length, keep);
            var from = Math.Min(Math.Max(match.Depth, firstBlock), firstBlock + slots.Length);
            if (match.Depth < firstBlock || end <= from)
            {
                FreeUnused(slots);
                DropIfUnused(owner);
                return new InsertResult(match.Depth, match.Depth);
            }

            FreeUnused(slots[..(from - firstBlock)]);
            FreeUnused(slots[(end - firstBlock)..]);
            var added = slots[(from - firstBlock)..(end - firstBlock)];
            var addedTokens = tokens[(from * root.BlockTokens)..(end * root.BlockTokens)];

            var parent = match.Node;
            if (match.Within < parent.Count)
                Split(root, parent, match.Within);
            var placed = Attach(root, parent, owner, addedTokens, added, shareAs, origin);
            DropIfUnused(owner);
            if (placed is null)
            {
                FreeUnused(added);
                return new InsertResult(from, from);
            }

            TouchPath(placed, _now());
            return new InsertResult(end, placed.Visibility == Visibility.Unproven ? from : end);
        }
    }

    private IndexNode? Attach(
        IndexRoot root, IndexNode parent, Owner tenant, ReadOnlySpan<uint> tokens, ReadOnlySpan<int> slots, PublicReason? shareAs, TenantKey? origin)
    {
        var visibility = parent.Visibility switch
        {
            Visibility.Public when shareAs is not null => Visibility.Public,
            Visibility.Public => Visibility.Unproven,
            var inherited => inherited,
        };
        var owner = visibility == Visibility.Public ? _public : tenant;

        // A chain that grows at its end stays one run.
        if (parent.IsLeaf && parent.Parent is not null && parent.Owner == owner && parent.Visibility == visibility
            && Equals(parent.Reason, visibility == Visibility.Public ? shareAs : null) && (visibility != Visibility.Public || parent.Origin == origin))
        {
            parent.Append(tokens, slots, root.BlockTokens);
            owner.Blocks += slots.Length;
            return parent;
        }

        var node = new IndexNode
        {
            Parent = parent,
            Owner = owner,
            Visibility = visibility,
            Reason = visibility == Visibility.Public ? shareAs : null,
            Origin = visibility == Visibility.Public ? origin : null,
            Start = parent.End,
            Hash = BlockHash.Compute(tokens[..root.BlockTokens], root.Seed),
        };
        node.Append(tokens, slots, root.BlockTokens);
        if (!TryLink(parent, node))
            return null;
        owner.Blocks += slots.Length;
        owner.Nodes++;
        Enqueue(node);
        return node;
    }

    /// <summary>
    /// The deepest position whose blocks equal the tokens'. The public path is followed as far as it goes, and each
    /// private run of the tenant that leaves it is tried; on a tie the public one wins.
    /// </summary>
    private static Position Match(IndexRoot root, Owner? owner, ReadOnlySpan<uint> tokens, View view)
    {
        var blocks = tokens.Length / root.BlockTokens;
        var best = new Position(root.Node, 0);
        var current = root.Node;
        while (current.End < blocks)
        {
            var key = BlockHash.Compute(Block(tokens, current.End, root), root.Seed);
            if (owner is not null && TryChild(root, current, owner.Id, key, tokens, out var own))
            {
                var position = FollowOwn(root, own, tokens);
                if (position.Depth > best.Depth)
                    best = position;
            }

            if (view == View.OwnOnly || !TryChild(root, current, Owner.PublicId, key, tokens, out var next))
                break;
            var within = next.MatchingBlocks(tokens[(next.Start * root.BlockTokens)..], root.BlockTokens);
            if (next.Start + within >= best.Depth)
                best = new Position(next, within);
            if (within < next.Count)
                break;
            current = next;
        }

        return best;
    }

    private static Position FollowOwn(IndexRoot root, IndexNode node, ReadOnlySpan<uint> tokens)
    {
        var blocks = tokens.Length / root.BlockTokens;
        while (true)
        {
            var within = node.MatchingBlocks(tokens[(node.Start * root.BlockTokens)..], root.BlockTokens);
            if (within < node.Count || node.End >= blocks)
                return new Position(node, within);
            var key = BlockHash.Compute(Block(tokens, node.End, root), root.Seed);
            if (!TryChild(root, node, node.Owner.Id, key, tokens, out var next))
                return new Position(node, within);
            node = next;
        }
    }

    private static bool TryChild(
        IndexRoot root, IndexNode parent, long owner, ulong key, ReadOnlySpan<uint> tokens, [NotNullWhen(true)] out IndexNode? child)
    {
        child = null;
        return parent.Children is { } children
            && children.TryGetValue(new ChildKey(owner, key), out child)
            && child.Tokens.AsSpan(0, root.BlockTokens).SequenceEqual(Block(tokens, child.Start, root));
    }

    private static ReadOnlySpan<uint> Block(ReadOnlySpan<uint> tokens, int block, IndexRoot root) =>
        tokens.Slice(block * root.BlockTokens, root.BlockTokens);

    private static bool TryLink(IndexNode parent, IndexNode node)
    {
        // A hash collision with different tokens: rather not cached than confused.
        if (!(parent.Children ??= []).TryAdd(new ChildKey(node.Owner.Id, node.Hash), node))
            return false;
        node.Parent = parent;
        return true;
    }

    private static void Touch(IndexNode node, long now)
    {
        if (Volatile.Read(ref node.LastUse) < now)
            Volatile.Write(ref node.LastUse, now);
    }

    private static void TouchPath(IndexNode node, long now)
    {
        for (IndexNode? step = node; step is not null; step = step.Parent)
            Touch(step, now);
    }

    private Owner GetOrAddOwner(TenantKey tenant)
    {
        if (!_owners.TryGetValue(tenant, out var owner))
            _owners[tenant] = owner = new Owner(++_nextOwner, tenant);
        return owner;
    }

    private void DropIfUnused(Owner owner)
    {
        if (owner is { IsPublic: false, Nodes: 0, Reserved: 0 })
            _owners.Remove(owner.Key);
    }

    private void FreeUnused(ReadOnlySpan<int> slots)
    {
        foreach (var slot in slots)
            _slots.Unlink(slot);
    }

    /// <summary>Cuts a run in two; the node keeps the first <paramref name="within"/> blocks and its place.</summary>
    private void Split(IndexRoot root, IndexNode node, int within)
    {
        var tail = new IndexNode
        {
            Parent = node,
            Owner = node.Owner,
            Visibility = node.Visibility,
            Origin = node.Origin,
            Reason = node.Reason,
            Start = node.Start + within,
            Hash = BlockHash.Compute(node.Tokens.AsSpan(within * root.BlockTokens, root.BlockTokens), root.Seed),
            LastUse = node.LastUse,
            Hits = node.Hits,
            Children = node.Children,
        };
        tail.Append(
            node.Tokens.AsSpan(within * root.BlockTokens, (node.Count - within) * root.BlockTokens),
            node.Slots.AsSpan(within, node.Count - within),
            root.BlockTokens);
        foreach (var child in tail.Children?.Values ?? Enumerable.Empty<IndexNode>())
            child.Parent = tail;

        node.Tokens = node.Tokens[..(within * root.BlockTokens)];
        node.Slots = node.Slots[..within];
        node.Count = within;
        node.Children = new() { [new ChildKey(tail.Owner.Id, tail.Hash)] = tail };
        node.Owner.Nodes++;
        if (tail.IsLeaf)
            Enqueue(tail);
    }

    private readonly record struct Position(IndexNode Node, int Within)
    {
        public int Depth => Node.Start + Within;
    }
}
