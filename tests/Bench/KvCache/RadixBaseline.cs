namespace Moebius.Bench.KvCache;

/// <summary>
/// The named baseline of the index: the algorithm of SGLang's RadixCache (arXiv 2312.07104, section 3), in C# and plain
/// dictionaries. A node owns a run of tokens and one KV index for each token; its children are in a dictionary by their
/// first page (<c>page</c> tokens); a walk compares page by page and cuts a node in two where it differs. A match
/// returns the joined indices and holds the path (a count per node up to the root). It knows no tenants and one thread.
/// </summary>
internal sealed class RadixBaseline<TPage>(int page, Func<ArraySegment<uint>, TPage> pageOf)
    where TPage : notnull
{
    private readonly Node _root = new(null, [], []);
    private long _clock;

    /// <summary>KV indices of the longest cached prefix, and its last node, which is held until it is released.</summary>
    public (int[] Indices, Node Last) Match(ArraySegment<uint> key)
    {
        var (parts, node, _) = Walk(key);
        var indices = new int[parts.Sum(static part => part.Length)];
        var position = 0;
        foreach (var part in parts)
        {
            part.CopyTo(indices, position);
            position += part.Length;
        }

        for (var step = node; step != _root; step = step.Parent!)
            step.Held++;
        return (indices, node);
    }

    public void Release(Node last)
    {
        for (var step = last; step != _root; step = step.Parent!)
            step.Held--;
    }

    /// <summary>Caches a whole row of KV indices; answers how many leading tokens were there already.</summary>
    public int Insert(ArraySegment<uint> key, ArraySegment<int> indices)
    {
        var (_, node, matched) = Walk(key);
        if (matched < key.Count)
        {
            var rest = key[matched..];
            node.Children[pageOf(rest[..page])] = new Node(node, [.. rest], [.. indices[matched..]]) { LastUse = ++_clock };
        }

        return matched;
    }

    private (List<int[]> Parts, Node Node, int Matched) Walk(ArraySegment<uint> key)
    {
        var parts = new List<int[]>();
        var node = _root;
        var matched = 0;
        node.LastUse = ++_clock;
        while (key.Count - matched >= page && node.Children.TryGetValue(pageOf(key.Slice(matched, page)), out var child))
        {
            child.LastUse = _clock;
            var common = Common(child.Key, key[matched..]);
            matched += common;
            if (common < child.Key.Length)
            {
                node = Split(child, common);
                parts.Add(node.Indices);
                break;
            }

            parts.Add(child.Indices);
            node = child;
        }

        return (parts, node, matched);
    }

    private int Common(uint[] own, ArraySegment<uint> key)
    {
        var length = Math.Min(own.Length, key.Count);
        var position = 0;
        while (position + page <= length && own.AsSpan(position, page).SequenceEqual(key.AsSpan(position, page)))
            position += page;
        return position;
    }

    private Node Split(Node child, int at)
    {
        var parent = child.Parent!;
        var upper = new Node(parent, child.Key[..at], child.Indices[..at]) { LastUse = child.LastUse, Held = child.Held };
        parent.Children[pageOf(new ArraySegment<uint>(child.Key, 0, page))] = upper;
        child.Parent = upper;
        child.Key = child.Key[at..];
        child.Indices = child.Indices[at..];
        upper.Children[pageOf(new ArraySegment<uint>(child.Key, 0, page))] = child;
        return upper;
    }

    internal sealed class Node(Node? parent, uint[] key, int[] indices)
    {
        public Dictionary<TPage, Node> Children { get; } = [];

        public Node? Parent { get; set; } = parent;

        public uint[] Key { get; set; } = key;

        public int[] Indices { get; set; } = indices;

        public long LastUse { get; set; }

        public int Held { get; set; }
    }
}

/// <summary>A page as a dictionary's key: equal by its tokens, as a tuple is.</summary>
internal readonly struct Page(ArraySegment<uint> tokens) : IEquatable<Page>
{
    private readonly ArraySegment<uint> _tokens = tokens;

    public static Page Copy(ArraySegment<uint> tokens) => new(tokens.ToArray());

    public bool Equals(Page other) => _tokens.AsSpan().SequenceEqual(other._tokens);

    public override bool Equals(object? obj) => obj is Page other && Equals(other);

    public override int GetHashCode()
    {
        var hash = default(HashCode);
        foreach (var token in _tokens)
            hash.Add(token);
        return hash.ToHashCode();
    }
}
