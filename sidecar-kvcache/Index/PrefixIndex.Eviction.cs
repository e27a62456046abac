using Moebius.KvCache.Arena;

namespace Moebius.KvCache.Index;

// Room for new blocks, and what leaves the tree.
internal sealed partial class PrefixIndex
{
    private const int EvictionStep = 16;

    /// <summary>Blocks that eviction, retention or an Evict call dropped.</summary>
    public long EvictedBlocks { get; private set; }

    /// <summary>
    /// Reserves slots for a tenant. A tenant at its quota makes room among its own blocks only.
    /// </summary>
    /// <returns>How many; fewer than there is room for when nothing more can be evicted.</returns>
    public int Reserve(TenantKey tenant, Span<SlotRef> reserved, int quota)
    {
        var count = reserved.Length;
        using (_lock.Write())
        {
            var owner = GetOrAddOwner(tenant);
            var allowed = quota - owner.Blocks - owner.Reserved;
            // Held while its last blocks may be evicted below.
            owner.Reserved++;
            if (allowed < count)
                allowed += EvictLeaves(owner, Math.Min(count - allowed, owner.Blocks));
            count = Math.Min(count, Math.Max(allowed, 0));
            MakeRoom(owner, count);
            count = _slots.Take(reserved[..count]);
            owner.Reserved += count - 1;
            DropIfUnused(owner);
            return count;
        }
    }

    /// <inheritdoc cref="Reserve(TenantKey, Span{SlotRef}, int)"/>
    public SlotRef[] Reserve(TenantKey tenant, int count, int quota)
    {
        var slots = new SlotRef[count];
        count = Reserve(tenant, slots.AsSpan(), quota);
        return count == slots.Length ? slots : slots[..count];
    }

    /// <summary>Reserved slots were given back without a commit.</summary>
    public void EndReservation(TenantKey tenant, int count)
    {
        using (_lock.Write())
        {
            if (!_owners.TryGetValue(tenant, out var owner))
                return;
            owner.Reserved -= count;
            DropIfUnused(owner);
        }
    }

    /// <summary>Drops a tenant's private blocks in one tree; a null tenant: every block of it. Slots under a lease are freed when it ends.</summary>
    public int Evict(IndexRoot root, TenantKey? tenant) => tenant is { } one ? EvictTenant(root, one) : EvictAll(root);

    /// <summary>Drops a tenant's private blocks in one tree; those under a lease as soon as it ends.</summary>
    public int EvictTenant(IndexRoot root, TenantKey tenant)
    {
        using (_lock.Write())
        {
            if (!_owners.TryGetValue(tenant, out var owner))
                return 0;
            var dropped = 0;
            var pending = new Stack<IndexNode>([root.Node]);
            while (pending.TryPop(out var node))
            {
                foreach (var child in node.Children?.Values.ToArray() ?? [])
                {
                    if (child.Owner == owner)
                        dropped += RemoveSubtree(child);
                    else if (child.Visibility == Visibility.Public)
                        pending.Push(child);
                }
            }

            EvictedBlocks += dropped;
            return dropped;
        }
    }

    /// <summary>Drops every block of one tree; those under a lease as soon as it ends.</summary>
    public int EvictAll(IndexRoot root)
    {
        using (_lock.Write())
        {
            var dropped = (root.Node.Children?.Values.ToArray() ?? []).Sum(RemoveSubtree);
            EvictedBlocks += dropped;
            return dropped;
        }
    }

    /// <summary>Drops what has not been used since a moment.</summary>
    /// <param name="privateBefore">Milliseconds; private entries last used before go.</param>
    /// <param name="publicBefore">Milliseconds; public entries last used before go.</param>
    public int DropIdle(long privateBefore, long publicBefore)
    {
        IndexRoot[] roots;
        using (_lock.Read())
            roots = [.. _roots.Values];
        return roots.Sum(root => Sweep(
            root,
            node => Volatile.Read(ref node.LastUse) < (node.Visibility == Visibility.Public ? publicBefore : privateBefore)));
    }

    /// <summary>Blocks by visibility.</summary>
    public (long Private, long Public) CountBlocks()
    {
        using (_lock.Read())
            return (_owners.Values.Sum(owner => (long)owner.Blocks), _public.Blocks);
    }

    private int Sweep(IndexRoot root, Func<IndexNode, bool> drop)
    {
        using (_lock.Write())
        {
            var dropped = 0;
            var nodes = Subtree(root.Node);
            // Children before their parents, and without the root itself.
            for (var index = nodes.Count - 1; index > 0; index--)
            {
                var node = nodes[index];
                if (node.IsLeaf && node.Pin.UpTo == 0 && drop(node))
                    dropped += TrimLeaf(node, int.MaxValue);
            }

            EvictedBlocks += dropped;
            return dropped;
        }
    }

    /// <summary>
    /// Frees slots. Nobody gives way to a tenant that takes more than itself, also when that one's blocks are all under
    /// leases: what lies within a tenant's fair share is reserved for it.
    /// </summary>
    private void MakeRoom(Owner asking, int count)
    {
        HashSet<Owner>? exhausted = null;
        for (var missing = count - _slots.FreeCount; missing > 0; missing = count - _slots.FreeCount)
        {
            var load = asking.Blocks + asking.Reserved + _slots.FreeCount;
            Owner? victim = null;
            foreach (var owner in _owners.Values.Append(_public))
            {
                if (owner.Blocks > 0 && exhausted?.Contains(owner) != true && EvictionPolicy.MayGive(owner, asking, load) && (victim is null || EvictionPolicy.Load(owner) > EvictionPolicy.Load(victim)))
                    victim = owner;
            }

            if (victim is null)
                return;
            // In steps, so that two large domains give way in turns and none to less than what the tenant then has.
            var step = victim == asking ? EvictionStep : Math.Clamp((int)(EvictionPolicy.Load(victim) - load) / 2, 1, EvictionStep);
            if (EvictLeaves(victim, Math.Min(missing, step)) == 0)
                (exhausted ??= []).Add(victim);
        }
    }

    private int EvictLeaves(Owner owner, int wanted)
    {
        var evicted = 0;
        var pinned = new List<IndexNode>();
        while (evicted < wanted && owner.Leaves.TryDequeue(out var node, out var queuedScore))
        {
            if (node.QueuedIn == owner)
                node.QueuedIn = null;
            if (node.Removed || node.Owner != owner || !node.IsLeaf)
                continue;
            if (Score(node) > queuedScore && owner.Leaves.Count > 0)
            {
                Enqueue(node);
                continue;
            }

            evicted += TrimLeaf(node, wanted - evicted);
            if (node.Removed)
                continue;
            if (node.Pin.UpTo >= node.Count)
                pinned.Add(node);
            else
                Enqueue(node);
        }

        foreach (var node in pinned)
            Enqueue(node);
        EvictedBlocks += evicted;
        DropIfUnused(owner);
        return evicted;
    }

    /// <summary>Drops blocks from the end of a leaf, up to the first pinned one.</summary>
    private int TrimLeaf(IndexNode node, int wanted)
    {
        var dropped = Math.Min(wanted, node.Count - Math.Min(node.Pin.UpTo, node.Count));
        _slots.Free(node.Run.ToArray(node.Count - dropped, dropped));
        node.Run.Trim(node.Count - dropped);
        Account(node.Owner, -dropped, 0);
        if (node.Count == 0)
            Unhook(node);
        return dropped;
    }

    /// <summary>Takes a node and all below it out of the tree; slots under a lease are freed when it ends.</summary>
    private int RemoveSubtree(IndexNode top)
    {
        var dropped = 0;
        var nodes = Subtree(top);
        // Children before their parents.
        for (var index = nodes.Count - 1; index >= 0; index--)
        {
            var node = nodes[index];
            node.Pin.CloseAndFree(_slots, node.Run.ToArray(0, node.Count));
            dropped += node.Count;
            Account(node.Owner, -node.Count, 0);
            node.Run.Trim(0);
            Unhook(node);
        }

        return dropped;
    }

    private void Unhook(IndexNode node)
    {
        var parent = node.Parent!;
        parent.Children!.Remove(node.ChildKey);
        node.Removed = true;
        Account(node.Owner, 0, -1);
        DropIfUnused(node.Owner);
        if (parent is { IsLeaf: true, Parent: not null, Count: > 0 })
            Enqueue(parent);
    }

    private static void Account(Owner owner, int blocks, int nodes)
    {
        owner.Blocks += blocks;
        owner.Nodes += nodes;
    }

    private static double Score(IndexNode node) =>
        EvictionPolicy.Score(Volatile.Read(ref node.LastUse), Volatile.Read(ref node.Hits), node.End);

    private static void Enqueue(IndexNode node)
    {
        var owner = node.Owner;
        if (node.QueuedIn == owner)
            return;
        if (owner.Leaves.Count > (2 * owner.Nodes) + 1024)
        {
            // Most of the queue is out of date: keep what is still a leaf of this domain.
            var live = owner.Leaves.UnorderedItems.Where(item => item.Element is { Removed: false, IsLeaf: true } && item.Element.Owner == owner)
                .DistinctBy(item => item.Element).ToArray();
            foreach (var (stale, _) in owner.Leaves.UnorderedItems)
                stale.QueuedIn = stale.QueuedIn == owner ? null : stale.QueuedIn;
            owner.Leaves.Clear();
            foreach (var (element, score) in live)
            {
                owner.Leaves.Enqueue(element, score);
                element.QueuedIn = owner;
            }
        }

        owner.Leaves.Enqueue(node, Score(node));
        node.QueuedIn = owner;
    }
}
