namespace Moebius.KvCache.Index;

// What turns a tenant's entries public, or private for good, after they were committed.
internal sealed partial class PrefixIndex
{
    /// <summary>
    /// Makes the leading blocks of a tenant's path public. Where the same blocks are public already, the tenant's copy
    /// is merged into them. Stops at a block that is private for good.
    /// </summary>
    /// <param name="upTo">Blocks from position 0.</param>
    /// <returns>Blocks that became public or were merged.</returns>
    public int Promote(IndexRoot root, TenantKey tenant, ReadOnlySpan<uint> tokens, int upTo, PublicReason reason, TenantKey? origin)
    {
        var keys = root.Keys(tokens);
        var promoted = Promote(root, tenant, keys, upTo, reason, origin);
        if (promoted > 0)
            OnPromoted?.Invoke(root, tenant, tokens[..Math.Min(upTo * root.BlockTokens, tokens.Length)].ToArray());
        return promoted;
    }

    private int Promote(IndexRoot root, TenantKey tenant, ReadOnlySpan<BlockKey> keys, int upTo, PublicReason reason, TenantKey? origin)
    {
        using (_lock.Write())
        {
            if (!_owners.TryGetValue(tenant, out var owner))
                return 0;
            var promoted = 0;
            upTo = Math.Min(Math.Min(upTo, keys.Length), _probed.First(tenant, keys));
            var current = root.Node;
            while (current.End < upTo)
            {
                var key = keys[current.End];
                var hasOwn = TryChild(current, owner.Id, key, out var own);
                var hasPublic = TryChild(current, Owner.PublicId, key, out var shared);
                if (hasOwn && own!.Visibility == Visibility.Private)
                    break;
                if (hasOwn)
                {
                    var limit = Math.Min(own!.MatchingBlocks(_slots.Keys, keys), upTo - own.Start);
                    if (hasPublic)
                        limit = Math.Min(limit, shared!.MatchingBlocks(_slots.Keys, keys));
                    if (limit < own.Count)
                        Split(own, limit);
                    promoted += limit;
                    if (hasPublic)
                        current = Merge(own, shared!, limit);
                    else if (!TryMakePublic(own, reason, origin))
                        break;
                    else
                        current = own;
                }
                else if (hasPublic && shared!.MatchingBlocks(_slots.Keys, keys) == shared.Count)
                {
                    current = shared;
                }
                else
                {
                    break;
                }
            }

            DropIfUnused(owner);
            return promoted;
        }
    }

    /// <summary>Makes a tenant's entries private for good, from a block on and all that follows it.</summary>
    public void MarkPrivate(IndexRoot root, TenantKey tenant, ReadOnlySpan<uint> tokens, int fromBlock)
    {
        var keys = root.Keys(tokens);
        using (_lock.Write())
        {
            foreach (var own in OwnRuns(root, tenant, keys))
                MarkRun(own, keys, fromBlock);
        }
    }

    /// <summary>Drops a tenant's private entries along one path, with all that follows them.</summary>
    public int DropPath(IndexRoot root, TenantKey tenant, ReadOnlySpan<uint> tokens)
    {
        var keys = root.Keys(tokens);
        using (_lock.Write())
        {
            var dropped = 0;
            foreach (var own in OwnRuns(root, tenant, keys))
                dropped += RemoveSubtree(own);
            return dropped;
        }
    }

    /// <summary>The tenant's private runs that leave the public path along these tokens.</summary>
    private List<IndexNode> OwnRuns(IndexRoot root, TenantKey tenant, ReadOnlySpan<BlockKey> keys)
    {
        var runs = new List<IndexNode>();
        if (!_owners.TryGetValue(tenant, out var owner))
            return runs;
        var current = root.Node;
        while (current.End < keys.Length)
        {
            var key = keys[current.End];
            if (TryChild(current, owner.Id, key, out var own))
                runs.Add(own);
            if (!TryChild(current, Owner.PublicId, key, out var shared)
                || shared.MatchingBlocks(_slots.Keys, keys) < shared.Count)
                break;
            current = shared;
        }

        return runs;
    }

    private void MarkRun(IndexNode? node, ReadOnlySpan<BlockKey> keys, int fromBlock)
    {
        while (node is { Visibility: Visibility.Unproven })
        {
            var matched = node.Start + node.MatchingBlocks(_slots.Keys, keys);
            if (fromBlock < matched)
            {
                if (fromBlock > node.Start)
                {
                    Split(node, fromBlock - node.Start);
                    node = node.Children!.Values.Single();
                }

                MarkSubtree(node);
                return;
            }

            if (matched < node.End || node.End >= keys.Length)
                return;
            var key = keys[node.End];
            node = TryChild(node, node.Owner.Id, key, out var next) ? next : null;
        }
    }

    private bool TryMakePublic(IndexNode node, PublicReason reason, TenantKey? origin)
    {
        if (!Relink(node, _public))
            return false;
        node.Visibility = Visibility.Public;
        node.Reason = reason;
        node.Origin = origin;
        return true;
    }

    /// <summary>Moves a node from its domain to another one under the same parent, with its accounts.</summary>
    private bool Relink(IndexNode node, Owner to)
    {
        var siblings = node.Parent!.Children!;
        if (!siblings.TryAdd(new ChildKey(to.Id, node.FirstKey), node))
            return false;
        siblings.Remove(node.ChildKey);
        Account(node.Owner, -node.Count, -1);
        Account(to, node.Count, 1);
        node.Owner = to;
        if (node.IsLeaf)
            Enqueue(node);
        return true;
    }

    /// <summary>Replaces a private run by the equal leading blocks of a public one and hangs its children there.</summary>
    private IndexNode Merge(IndexNode own, IndexNode shared, int blocks)
    {
        if (blocks < shared.Count)
            Split(shared, blocks);
        TouchPath(shared, own.LastUse);
        foreach (var (key, child) in own.Children?.ToArray() ?? [])
        {
            // The tenant may have computed the same blocks twice, by way of the public run and of its own copy.
            if ((shared.Children ??= []).TryAdd(key, child))
            {
                child.Parent = shared;
                continue;
            }

            if (Subtree(child).Exists(static node => node.Visibility == Visibility.Private))
                MarkSubtree(shared.Children[key]);
            RemoveSubtree(child);
        }

        own.Children = null;
        RemoveSubtree(own);
        return shared;
    }

    private static void MarkSubtree(IndexNode top)
    {
        foreach (var node in Subtree(top))
            node.Visibility = Visibility.Private;
    }

    /// <summary>A node and all below it, parents before children. A tenant can make a tree as deep as its prompts are long: nothing recurs into it.</summary>
    private static List<IndexNode> Subtree(IndexNode top)
    {
        var nodes = new List<IndexNode> { top };
        for (var next = 0; next < nodes.Count; next++)
            nodes.AddRange(nodes[next].Children?.Values ?? Enumerable.Empty<IndexNode>());
        return nodes;
    }
}
