namespace Moebius.KvCache.Index;

// What takes public entries back.
internal sealed partial class PrefixIndex
{
    private readonly ProbedEntries _probed = new();
    private long _demotedBlocks;

    /// <summary>Blocks that were public and are not any more, for whatever reason.</summary>
    public long DemotedBlocks => Interlocked.Read(ref _demotedBlocks);

    /// <summary>Takes every public entry back whose reason no longer holds.</summary>
    public int Retract(Func<PublicReason, bool> holds)
    {
        var keys = new List<BlockKey>();
        var demoted = 0;
        using (_lock.Write())
        {
            foreach (var root in _roots.Values)
            {
                var pending = new Stack<IndexNode>(PublicChildren(root.Node));
                while (pending.TryPop(out var node))
                {
                    if (!holds(node.Reason!))
                    {
                        keys.AddRange(PublicKeys(node));
                        demoted += Demote(node, Visibility.Unproven);
                        continue;
                    }

                    foreach (var child in PublicChildren(node))
                        pending.Push(child);
                }
            }
        }

        Announce(keys);
        return demoted;
    }

    /// <summary>Makes a probed entry, and all that follows it, private for good.</summary>
    /// <returns>Blocks that are no longer public.</returns>
    public int DemoteProbed(IndexNode node)
    {
        var keys = new List<BlockKey>();
        var demoted = 0;
        using (_lock.Write())
        {
            if (node is { Removed: false, Visibility: Visibility.Public })
            {
                keys = PublicKeys(node);
                RememberProbed(node);
                demoted = Demote(node, Visibility.Private);
            }
        }

        Announce(keys, keys.Count > 0 ? keys[0] : null);
        return demoted;
    }

    /// <summary>Takes the public entries along a path back, from a block on and with all that follows.</summary>
    public int DemotePath(IndexRoot root, ReadOnlySpan<BlockKey> keys, int fromBlock)
    {
        using (_lock.Write())
        {
            var current = root.Node;
            while (current.End < keys.Length && TryChild(current, Owner.PublicId, keys[current.End], out var next))
            {
                var matched = next.Start + next.MatchingBlocks(_slots.Keys, keys);
                if (fromBlock < matched)
                {
                    if (fromBlock > next.Start)
                    {
                        Split(next, fromBlock - next.Start);
                        next = next.Children!.Values.Single();
                    }

                    return Demote(next, Visibility.Unproven);
                }

                if (matched < next.End)
                    break;
                current = next;
            }

            return 0;
        }
    }

    private void Announce(List<BlockKey> demoted, BlockKey? probed = null)
    {
        if (demoted.Count > 0)
            OnDemoted?.Invoke(demoted, probed);
    }

    /// <summary>A probed entry, and what others had made public behind it, is private for good to those who committed it.</summary>
    private void RememberProbed(IndexNode top)
    {
        foreach (var node in PublicSubtree(top))
        {
            if (node.Origin is { } origin && (node == top || node.Parent!.Origin != origin))
                _probed.Add(origin, node.FirstKey);
        }
    }

    /// <summary>
    /// Gives a public run back to whoever committed it, with what follows it of the same tenant. What other tenants had
    /// below it goes: they could not reach it any more.
    /// </summary>
    private int Demote(IndexNode top, Visibility to)
    {
        var origin = top.Origin;
        var owner = origin is { } known ? GetOrAddOwner(known) : null;
        var demoted = 0;
        var pending = new Stack<IndexNode>([top]);
        while (pending.TryPop(out var node))
        {
            demoted += node.Count;
            if (owner is null || !Relink(node, owner))
            {
                demoted += PublicSubtree(node).Sum(static shared => shared.Count) - node.Count;
                RemoveSubtree(node);
                // The tenant has these blocks a second time.
                if (owner is not null && to == Visibility.Private && TryChild(node.Parent!, owner.Id, node.FirstKey, out var own))
                    MarkSubtree(own);
                continue;
            }

            node.Visibility = to;
            node.Reason = null;
            node.Origin = null;
            foreach (var child in node.Children?.Values.ToArray() ?? [])
            {
                if (child.Visibility == Visibility.Public && child.Origin == origin)
                {
                    pending.Push(child);
                }
                else if (child.Owner != owner)
                {
                    demoted += PublicSubtree(child).Sum(static shared => shared.Count);
                    RemoveSubtree(child);
                }
                else if (to == Visibility.Private)
                {
                    MarkSubtree(child);
                }
            }
        }

        if (owner is not null)
            DropIfUnused(owner);
        _demotedBlocks += demoted;
        return demoted;
    }

    private List<BlockKey> PublicKeys(IndexNode top)
    {
        var keys = new List<BlockKey>();
        foreach (var node in PublicSubtree(top))
        {
            for (var block = 0; block < node.Count; block++)
                keys.Add(_slots.Keys[node.Run[block]]);
        }

        return keys;
    }

    private static List<IndexNode> PublicChildren(IndexNode node) =>
        [.. (node.Children?.Values ?? Enumerable.Empty<IndexNode>()).Where(child => child.Visibility == Visibility.Public)];

    /// <summary>The public nodes of a subtree, parents before children; none when its top is not public.</summary>
    private static List<IndexNode> PublicSubtree(IndexNode top)
    {
        var nodes = new List<IndexNode>();
        if (top.Visibility == Visibility.Public)
            nodes.Add(top);
        for (var next = 0; next < nodes.Count; next++)
            nodes.AddRange(PublicChildren(nodes[next]));
        return nodes;
    }
}
