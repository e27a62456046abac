using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
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
    /// <summary>Blocks of a prompt whose keys need no allocation: 8 KiB of stack.</summary>
    private const int KeysOnStack = 512;

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

    /// <summary>Told, without a lock, that leading blocks of a prompt have become public.</summary>
    public Action<IndexRoot, TenantKey, uint[]>? OnPromoted { get; init; }

    /// <summary>
    /// Told, without a lock, which blocks have ceased to be public. With a second key: of the first block that was probed;
    /// nothing that follows it may become public by way of what was known before.
    /// </summary>
    public Action<IReadOnlyList<BlockKey>, BlockKey?>? OnDemoted { get; init; }

    public IndexRoot Root(ModelKey model)
    {
        using (_lock.Write())
        {
            if (!_roots.TryGetValue(model, out var root))
                _roots[model] = root = new IndexRoot(model, _public);
            return root;
        }
    }

    /// <summary>The longest prefix that the tenant may use, pinned until the lease is released.</summary>
    /// <param name="slots">Filled with the slots of the leading blocks; as long as <paramref name="keys"/>.</param>
    /// <param name="counted">Leading blocks that the same request has found before: a hit on them was counted then.</param>
    public FoundPrefix Lookup(IndexRoot root, TenantKey tenant, ReadOnlySpan<BlockKey> keys, View view, Span<SlotRef> slots, int counted = 0)
    {
        using (_lock.Read())
        {
            _owners.TryGetValue(tenant, out var owner);
            var match = Match(root, owner, keys, view);
            var runs = 0;
            for (var node = match.Node; node.Parent is not null; node = node.Parent)
                runs++;
            object? pins = runs > 1 ? new RunPin[runs] : null;
            var now = _now();
            var within = match.Within;
            for (var node = match.Node; node.Parent is not null; node = node.Parent, within = node.Count)
            {
                node.Pin.Take(within);
                if (pins is RunPin[] several)
                    several[--runs] = node.Pin;
                else
                    pins = node.Pin;
                node.Run.Reference(_slots, slots.Slice(node.Start, within));
                Touch(node, now);
                if (node.Start < counted)
                    continue;
                Interlocked.Increment(ref node.Hits);
                if (node.Visibility == Visibility.Public)
                    OnPublicHit?.Invoke(node, tenant);
            }

            return new FoundPrefix(match.Depth, new IndexLease(pins), match.Node.Visibility == Visibility.Public);
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
    [SkipLocalsInit]
    public InsertResult Insert(
        IndexRoot root,
        TenantKey tenant,
        ReadOnlySpan<uint> tokens,
        int firstBlock,
        ReadOnlySpan<int> slots,
        int keep,
        View view,
        PublicReason? shareAs,
        TenantKey? origin) =>
        Insert(root, tenant, root.Keys(tokens, stackalloc BlockKey[KeysOnStack]), firstBlock, slots, keep, view, shareAs, origin);

    /// <inheritdoc cref="Insert(IndexRoot, TenantKey, ReadOnlySpan{uint}, int, ReadOnlySpan{int}, int, View, PublicReason?, TenantKey?)"/>
    /// <param name="sealedPrivate">Blocks that are not shared are private for good, not until they are cleared.</param>
    /// <param name="isWanted">Whether they may still be published, asked while nothing can be evicted; null: they may.</param>
    public InsertResult Insert(
        IndexRoot root,
        TenantKey tenant,
        ReadOnlySpan<BlockKey> keys,
        int firstBlock,
        ReadOnlySpan<int> slots,
        int keep,
        View view,
        PublicReason? shareAs,
        TenantKey? origin,
        bool sealedPrivate = false,
        Func<bool>? isWanted = null)
    {
        using (_lock.Write())
        {
            // Written last; memory answers while the tree is walked and changed.
            _slots.PrefetchKeys(slots);
            var owner = GetOrAddOwner(tenant);
            owner.Reserved -= slots.Length;
            if (isWanted?.Invoke() == false)
            {
                _slots.Free(slots);
                DropIfUnused(owner);
                return default;
            }

            var match = Match(root, owner, keys, view);
            var end = Math.Min(firstBlock + slots.Length, keep);
            var from = Math.Min(Math.Max(match.Depth, firstBlock), firstBlock + slots.Length);
            if (match.Depth < firstBlock || end <= from)
            {
                _slots.Free(slots);
                DropIfUnused(owner);
                return new InsertResult(match.Depth, match.Depth);
            }

            _slots.Free(slots[..(from - firstBlock)]);
            _slots.Free(slots[(end - firstBlock)..]);
            var added = slots[(from - firstBlock)..(end - firstBlock)];

            var parent = match.Node;
            if (match.Within < parent.Count)
                Split(parent, match.Within);
            var placed = Attach(parent, owner, keys[from], added, shareAs, origin, sealedPrivate);
            DropIfUnused(owner);
            if (placed is null)
            {
                _slots.Free(added);
                return new InsertResult(from, from);
            }

            _slots.StoreKeys(added, keys[from..end]);
            TouchPath(placed, _now());
            return new InsertResult(end, placed.Visibility == Visibility.Unproven ? from : end);
        }
    }

    private IndexNode? Attach(
        IndexNode parent, Owner tenant, BlockKey firstKey, ReadOnlySpan<int> slots, PublicReason? shareAs, TenantKey? origin, bool sealedPrivate)
    {
        var visibility = parent.Visibility switch
        {
            Visibility.Public when shareAs is not null => Visibility.Public,
            Visibility.Private => Visibility.Private,
            _ => sealedPrivate ? Visibility.Private : Visibility.Unproven,
        };
        var owner = visibility == Visibility.Public ? _public : tenant;

        // A chain that grows at its end stays one run.
        if (parent.IsLeaf && parent.Parent is not null && parent.Owner == owner && parent.Visibility == visibility
            && Equals(parent.Reason, visibility == Visibility.Public ? shareAs : null) && (visibility != Visibility.Public || parent.Origin == origin))
        {
            parent.Run.Append(slots);
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
            FirstKey = firstKey,
        };
        node.Run.Append(slots);
        if (!TryLink(parent, node))
            return null;
        owner.Blocks += slots.Length;
        owner.Nodes++;
        Enqueue(node);
        return node;
    }

    /// <summary>
    /// The deepest position on the keys' path. The public path is followed as far as it goes, and each private run of the
    /// tenant that leaves it is tried; on a tie the public one wins.
    /// </summary>
    private Position Match(IndexRoot root, Owner? owner, ReadOnlySpan<BlockKey> keys, View view)
    {
        var best = new Position(root.Node, 0);
        var current = root.Node;
        // Many tenants have nothing of their own to look for.
        var hasOwn = owner is { Nodes: > 0 };
        while (current.End < keys.Length)
        {
            var key = keys[current.End];
            if (hasOwn && TryChild(current, owner!.Id, key, out var own))
            {
                var position = FollowOwn(own, keys);
                if (position.Depth > best.Depth)
                    best = position;
            }

            if (view == View.OwnOnly || !TryChild(current, Owner.PublicId, key, out var next))
                break;
            next.Prefetch(_slots);
            var within = next.MatchingBlocks(_slots.Keys, keys);
            if (next.Start + within >= best.Depth)
                best = new Position(next, within);
            if (within < next.Count)
                break;
            current = next;
        }

        return best;
    }

    private Position FollowOwn(IndexNode node, ReadOnlySpan<BlockKey> keys)
    {
        while (true)
        {
            node.Prefetch(_slots);
            var within = node.MatchingBlocks(_slots.Keys, keys);
            if (within < node.Count || node.End >= keys.Length || !TryChild(node, node.Owner.Id, keys[node.End], out var next))
                return new Position(node, within);
            node = next;
        }
    }

    private static bool TryChild(IndexNode parent, long owner, BlockKey key, [NotNullWhen(true)] out IndexNode? child)
    {
        child = null;
        return parent.Children is { } children && children.TryGetValue(new ChildKey(owner, key), out child);
    }

    private static bool TryLink(IndexNode parent, IndexNode node)
    {
        if (!(parent.Children ??= []).TryAdd(node.ChildKey, node))
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
        for (var step = node; step is not null; step = step.Parent)
            Touch(step, now);
    }

    private Owner GetOrAddOwner(TenantKey tenant)
    {
        ref var owner = ref CollectionsMarshal.GetValueRefOrAddDefault(_owners, tenant, out _);
        return owner ??= new Owner(++_nextOwner, tenant);
    }

    private void DropIfUnused(Owner owner)
    {
        if (owner is { IsPublic: false, Nodes: 0, Reserved: 0 })
            _owners.Remove(owner.Key);
    }

    /// <summary>Cuts a run in two; the node keeps the first <paramref name="within"/> blocks and its place.</summary>
    private void Split(IndexNode node, int within)
    {
        var (head, rest) = node.Pin.Cut(within);
        var cut = node.Run.Cut(within);
        var tail = new IndexNode
        {
            Parent = node,
            Owner = node.Owner,
            Visibility = node.Visibility,
            Origin = node.Origin,
            Reason = node.Reason,
            Start = node.Start + within,
            Pin = rest,
            LastUse = node.LastUse,
            Hits = node.Hits,
            Children = node.Children,
            FirstKey = _slots.Keys[cut[0]],
            Run = cut,
        };
        foreach (var child in tail.Children?.Values ?? Enumerable.Empty<IndexNode>())
            child.Parent = tail;

        node.Pin = head;
        node.Children = new() { [tail.ChildKey] = tail };
        node.Owner.Nodes++;
        if (tail.IsLeaf)
            Enqueue(tail);
    }

    private readonly record struct Position(IndexNode Node, int Within)
    {
        public int Depth => Node.Start + Within;
    }
}
