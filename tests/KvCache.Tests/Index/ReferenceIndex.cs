using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tests.Index;

/// <summary>
/// The plainest tree that keeps the rules of who may see what: an entry for each block, nothing compressed, nothing
/// shared out. A text is a prompt, a letter a block.
/// </summary>
internal sealed class ReferenceIndex
{
    private const int Everybody = -1;

    private readonly Entry _root = new() { Owner = Everybody };
    private readonly HashSet<(int Tenant, string Prefix)> _probed = [];

    /// <summary>Entries that the index should hold.</summary>
    public int Count => Below(_root).Count() - 1;

    /// <summary>What a tenant finds of a text, block for block.</summary>
    public IEnumerable<Visibility> Found(int tenant, string text, View view)
    {
        var found = new Stack<Visibility>();
        for (var entry = Find(tenant, text, view); entry != _root; entry = entry.Parent!)
            found.Push(entry.IsPublic ? Visibility.Public : entry.IsSealed ? Visibility.Private : Visibility.Unproven);
        return found;
    }

    public void Insert(int tenant, string text, View view = View.Shared)
    {
        var entry = Find(tenant, text, view);
        while (entry.Depth < text.Length)
            entry = entry.Add(new Entry { Owner = tenant, Letter = text[entry.Depth], IsSealed = entry.IsSealed });
    }

    public void Promote(int tenant, string text, int upTo, PublicReason reason, int? origin)
    {
        var entry = _root;
        while (entry.Depth < upTo && !_probed.Contains((tenant, text[..(entry.Depth + 1)])))
        {
            var own = entry.Child(tenant, text[entry.Depth]);
            var shared = entry.Child(Everybody, text[entry.Depth]);
            if (own is { IsSealed: true } || (own is null && shared is null))
                return;
            if (own is not null && shared is not null)
                Merge(own, shared);
            else if (own is not null)
                (own.Owner, own.Reason, own.Origin) = (Everybody, reason, origin);
            entry = (shared ?? own)!;
        }
    }

    public void MarkPrivate(int tenant, string text, int fromBlock)
    {
        for (var shared = _root; shared is not null && shared.Depth < text.Length; shared = shared.Child(Everybody, text[shared.Depth]))
        {
            var own = shared.Child(tenant, text[shared.Depth]);
            while (own is { IsSealed: false } && own.Depth <= fromBlock && own.Depth < text.Length)
                own = own.Child(tenant, text[own.Depth]);
            if (own is not null && own.Depth > fromBlock)
                Seal(own);
        }
    }

    public void Retract(PublicReason gone)
    {
        foreach (var entry in Below(_root).Where(entry => entry.Reason == gone).ToList())
        {
            // One that went with an entry before it has no reason any more.
            if (entry.Reason == gone && Below(_root).Contains(entry))
                Demote(entry, seal: false);
        }
    }

    /// <summary>The public entry at the end of a prefix was probed.</summary>
    public void DemoteProbed(string prefix)
    {
        var entry = _root;
        foreach (var letter in prefix)
            entry = entry.Child(Everybody, letter)!;
        foreach (var shared in Below(entry).Where(shared => shared.IsPublic))
        {
            if (shared.Origin is { } origin)
                _probed.Add((origin, shared.Prefix));
        }

        Demote(entry, seal: true);
    }

    public void EvictAll() => Remove(static _ => true);

    public void EvictTenant(int tenant) => Remove(entry => entry.Owner == tenant);

    public void DropPrivate() => Remove(entry => !entry.IsPublic);

    /// <summary>Public entries stay as long as something private follows them.</summary>
    public void DropPublic() => Remove(entry => Below(entry).All(below => below.IsPublic));

    private Entry Find(int tenant, string text, View view)
    {
        var best = _root;
        for (var shared = _root; shared is not null; shared = view == View.OwnOnly || shared.Depth == text.Length ? null : shared.Child(Everybody, text[shared.Depth]))
        {
            if (shared.Depth >= best.Depth)
                best = shared;
            var own = shared.Depth == text.Length ? null : shared.Child(tenant, text[shared.Depth]);
            for (; own is not null; own = own.Depth == text.Length ? null : own.Child(tenant, text[own.Depth]))
            {
                if (own.Depth > best.Depth)
                    best = own;
            }
        }

        return best;
    }

    private static void Merge(Entry own, Entry shared)
    {
        own.Parent!.Children.Remove(own);
        foreach (var child in own.Children)
        {
            if (shared.Child(child.Owner, child.Letter) is not { } kept)
                shared.Add(child);
            else if (Below(child).Any(below => below.IsSealed))
                Seal(kept);
        }
    }

    private static void Demote(Entry entry, bool seal)
    {
        var own = entry.Origin is { } origin ? entry.Parent!.Child(origin, entry.Letter) : null;
        if (own is not null && seal)
            Seal(own);
        if (entry.Origin is null || own is not null)
        {
            entry.Parent!.Children.Remove(entry);
            return;
        }

        var owner = entry.Origin.Value;
        (entry.Owner, entry.Reason, entry.Origin, entry.IsSealed) = (owner, null, null, seal);
        foreach (var child in entry.Children.ToList())
        {
            if (child.IsPublic && child.Origin == owner)
                Demote(child, seal);
            else if (child.Owner != owner)
                entry.Children.Remove(child);
            else if (seal)
                Seal(child);
        }
    }

    private static void Seal(Entry entry)
    {
        foreach (var below in Below(entry))
            below.IsSealed = true;
    }

    private void Remove(Func<Entry, bool> which)
    {
        foreach (var entry in Below(_root).Where(entry => entry != _root && which(entry)).ToList())
            entry.Parent!.Children.Remove(entry);
    }

    private static IEnumerable<Entry> Below(Entry entry) => entry.Children.SelectMany(Below).Prepend(entry);

    private sealed class Entry
    {
        public Entry? Parent { get; private set; }

        public required int Owner { get; set; }

        public char Letter { get; init; }

        /// <summary>Private for good.</summary>
        public bool IsSealed { get; set; }

        public PublicReason? Reason { get; set; }

        public int? Origin { get; set; }

        public List<Entry> Children { get; } = [];

        public bool IsPublic => Owner == Everybody;

        public int Depth => Parent is null ? 0 : Parent.Depth + 1;

        public string Prefix => Parent is null ? "" : Parent.Prefix + Letter;

        public Entry? Child(int owner, char letter) => Children.Find(child => child.Owner == owner && child.Letter == letter);

        public Entry Add(Entry child)
        {
            child.Parent = this;
            Children.Add(child);
            return child;
        }
    }
}
