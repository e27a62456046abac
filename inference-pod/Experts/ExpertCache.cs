namespace Moebius.Inference.Experts;

/// <summary>One expert of one MoE layer.</summary>
/// <param name="Layer">Index among the MoE layers.</param>
/// <param name="Expert">Index within the layer.</param>
internal readonly record struct ExpertKey(int Layer, int Expert);

/// <summary>
/// Decides which expert is in which buffer: least recently used goes first, pinned never goes. Pure bookkeeping; it
/// reads nothing and holds no weights.
/// </summary>
internal sealed class ExpertCache(int slots)
{
    private readonly Dictionary<ExpertKey, LinkedListNode<Resident>> _byKey = [];
    private readonly LinkedList<Resident> _recency = new();
    private readonly Stack<int> _free = new(Enumerable.Range(0, slots).Reverse());

    public int Slots => slots;

    public int Count => _byKey.Count;

    public bool Contains(ExpertKey key) => _byKey.ContainsKey(key);

    /// <summary>Finds a resident expert, makes it the most recently used and pins it.</summary>
    public bool TryPin(ExpertKey key, out int slot)
    {
        slot = -1;
        if (!_byKey.TryGetValue(key, out var node))
            return false;
        node.Value.Pins++;
        _recency.Remove(node);
        _recency.AddFirst(node);
        slot = node.Value.Slot;
        return true;
    }

    /// <summary>
    /// Gives a buffer to an expert that is not resident, pinned. Returns false when every buffer is pinned.
    /// </summary>
    /// <param name="key">The expert.</param>
    /// <param name="slot">Its buffer.</param>
    /// <param name="evicted">The expert that lost the buffer, or null.</param>
    public bool TryAdmit(ExpertKey key, out int slot, out ExpertKey? evicted)
    {
        if (_byKey.ContainsKey(key))
            throw new InvalidOperationException($"{key} is resident already");
        evicted = null;
        if (!_free.TryPop(out slot))
        {
            var victim = _recency.Last;
            while (victim is { Value.Pins: > 0 })
                victim = victim.Previous;
            if (victim is null)
                return false;
            slot = victim.Value.Slot;
            evicted = victim.Value.Key;
            Remove(victim);
        }
        _byKey[key] = _recency.AddFirst(new Resident(key, slot) { Pins = 1 });
        return true;
    }

    public void Unpin(ExpertKey key)
    {
        var resident = _byKey[key].Value;
        if (resident.Pins == 0)
            throw new InvalidOperationException($"{key} is not pinned");
        resident.Pins--;
    }

    /// <summary>Forgets an expert whose load failed; its buffer is free again.</summary>
    public void Discard(ExpertKey key)
    {
        var node = _byKey[key];
        Remove(node);
        _free.Push(node.Value.Slot);
    }

    private void Remove(LinkedListNode<Resident> node)
    {
        _recency.Remove(node);
        _byKey.Remove(node.Value.Key);
    }

    private sealed class Resident(ExpertKey key, int slot)
    {
        public ExpertKey Key => key;

        public int Slot => slot;

        public int Pins { get; set; }
    }
}
