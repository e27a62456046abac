namespace Moebius.KvCache;

/// <summary>Values by key, of which those set or used last are kept.</summary>
/// <param name="most">Entries kept; 0: none.</param>
/// <remarks>Not safe for several threads.</remarks>
internal sealed class RecentMap<TKey, TValue>(int most) where TKey : notnull
{
    private readonly Dictionary<TKey, LinkedListNode<(TKey Key, TValue Value)>> _nodes = [];
    private readonly LinkedList<(TKey Key, TValue Value)> _byAge = new();

    /// <summary>Entries there are.</summary>
    public int Count => _nodes.Count;

    /// <summary>The keys, the first to be forgotten first.</summary>
    public IEnumerable<TKey> Keys => _byAge.Select(static entry => entry.Key);

    /// <summary>Sets a key's value and makes it the last to be forgotten.</summary>
    public void Set(TKey key, TValue value)
    {
        if (_nodes.TryGetValue(key, out var known))
        {
            known.Value = (key, value);
            Renew(known);
            return;
        }

        _nodes[key] = _byAge.AddLast((key, value));
        if (_nodes.Count <= most)
            return;
        _nodes.Remove(_byAge.First!.Value.Key);
        _byAge.RemoveFirst();
    }

    /// <summary>Whether a key is there; its age stays.</summary>
    public bool Contains(TKey key) => _nodes.ContainsKey(key);

    /// <summary>A key's value, or another; its age stays.</summary>
    public TValue GetValueOrDefault(TKey key, TValue otherwise) => _nodes.TryGetValue(key, out var node) ? node.Value.Value : otherwise;

    /// <summary>A key's value, which becomes the last to be forgotten. False: there is none.</summary>
    public bool TryUse(TKey key, out TValue? value)
    {
        value = default;
        if (!_nodes.TryGetValue(key, out var node))
            return false;
        Renew(node);
        value = node.Value.Value;
        return true;
    }

    /// <summary>Forgets a key. False: it is not there.</summary>
    public bool TryRemove(TKey key, out TValue? value)
    {
        value = default;
        if (!_nodes.Remove(key, out var node))
            return false;
        _byAge.Remove(node);
        value = node.Value.Value;
        return true;
    }

    private void Renew(LinkedListNode<(TKey Key, TValue Value)> node)
    {
        _byAge.Remove(node);
        _byAge.AddLast(node);
    }
}
