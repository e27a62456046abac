namespace Moebius.Inference.Experts;

/// <summary>
/// Decides which expert is in which buffer: the two-level LRU of ExpertFlow (arXiv 2510.26730). The high level holds
/// experts that were used recently or are in the plan of a prefetch policy; the low level holds the rest and is evicted
/// first. What is pinned or on its way is never evicted. Pure bookkeeping: it reads nothing and holds no
/// weights.
/// <para>Without predictions the two levels together are a plain LRU.</para>
/// </summary>
/// <param name="slots">Buffers, at least 1.</param>
/// <param name="nextUse">
/// When an expert is used next, as a policy estimates or an oracle knows it: the farthest goes first (Belady), and a load
/// ahead replaces only what is used later than itself. Then there are no levels. Null for the two levels.
/// </param>
/// <param name="residency">Is told what has a buffer; null: nobody asks.</param>
internal sealed class ExpertCache(int slots, Func<ExpertKey, long>? nextUse = null, Residency? residency = null)
{
    /// <summary>Share of the buffers that the high level may fill, so that a prefetch finds something to replace.</summary>
    private readonly int _highLimit = Math.Max(1, slots - Math.Max(1, slots / 4));

    private readonly Dictionary<ExpertKey, Entry> _byKey = [];
    private readonly LinkedList<Entry> _high = new();
    private readonly LinkedList<Entry> _low = new();
    private readonly List<Entry> _predicted = [];
    private int _plan;
    private readonly Stack<int> _free = new(Enumerable.Range(0, slots).Reverse());

    public int Slots => slots;

    /// <summary>Buffers in use, those that are being filled among them.</summary>
    public int Count => _byKey.Count;

    /// <summary>Experts that lost their buffer.</summary>
    public long Evictions { get; private set; }

    /// <summary>Experts loaded ahead that lost their buffer before anything used them.</summary>
    public long OverFetched { get; private set; }

    /// <summary>The buffer of an expert that has one.</summary>
    public int SlotOf(ExpertKey key) => _byKey[key].Slot;

    /// <summary>Finds a resident expert for use: it becomes the most recently used, and is pinned.</summary>
    public bool TryPin(ExpertKey key, out int slot)
    {
        slot = -1;
        if (!_byKey.TryGetValue(key, out var entry) || entry.Loading)
            return false;
        entry.Pins++;
        entry.Unused = false;
        if (nextUse is null)
        {
            Forget(entry);
            ToHigh(entry);
        }
        slot = entry.Slot;
        return true;
    }

    /// <summary>
    /// A new plan begins: <see cref="TryPredict"/> and <see cref="TryAdmit"/> say what is in it, then
    /// <see cref="EndPlan"/> drops the claims of the one before.
    /// </summary>
    public void BeginPlan() => _plan++;

    /// <summary>Keeps an expert that is in the plan. Returns false when it has no buffer: it is worth loading.</summary>
    public bool TryPredict(ExpertKey key)
    {
        if (!_byKey.TryGetValue(key, out var entry))
            return false;
        if (nextUse is not null)
            return true;
        Remember(entry);
        ToHigh(entry);
        return true;
    }

    /// <summary>What was in the plan before and is not in this one has lost its claim.</summary>
    public void EndPlan()
    {
        for (var i = _predicted.Count - 1; i >= 0; i--)
        {
            var entry = _predicted[i];
            if (entry.Plan == _plan)
                continue;
            Forget(entry);
            entry.Node.List!.Remove(entry.Node);
            // Loaded ahead in vain: first to go. Used before: as good as anything that is not predicted.
            if (entry.Unused)
                _low.AddLast(entry.Node);
            else
                _low.AddFirst(entry.Node);
        }
    }

    /// <summary>Gives a buffer to an expert that has none; it is being filled until <see cref="Loaded"/>.</summary>
    /// <param name="key">The expert.</param>
    /// <param name="ahead">
    /// It is loaded ahead: it may replace only what is in the low level. Otherwise compute waits for it, and anything
    /// that is not in use may go.
    /// </param>
    /// <param name="slot">Its buffer.</param>
    /// <param name="evicted">The expert that lost the buffer, or null.</param>
    /// <returns>False when nothing may be evicted.</returns>
    public bool TryAdmit(ExpertKey key, bool ahead, out int slot, out ExpertKey? evicted)
    {
        if (_byKey.ContainsKey(key))
            throw new InvalidOperationException($"{key} has a buffer already");
        evicted = null;
        if (!_free.TryPop(out slot))
        {
            var victim = Victim(key, ahead);
            if (victim is null)
                return false;
            slot = victim.Slot;
            evicted = victim.Key;
            Evictions++;
            if (victim.Unused)
                OverFetched++;
            Remove(victim);
        }
        var entry = new Entry(key, slot) { Loading = true, Unused = ahead };
        _byKey[key] = entry;
        if (residency is not null)
            (residency[key], residency.IsFull) = (true, _free.Count == 0);
        if (nextUse is not null)
            return true;
        _high.AddFirst(entry.Node);
        if (ahead)
            Remember(entry);
        Balance();
        return true;
    }

    /// <summary>The expert's buffer is filled.</summary>
    public void Loaded(ExpertKey key) => _byKey[key].Loading = false;

    public void Unpin(ExpertKey key)
    {
        var entry = _byKey[key];
        if (entry.Pins == 0)
            throw new InvalidOperationException($"{key} is not pinned");
        entry.Pins--;
    }

    /// <summary>Forgets an expert whose load failed; its buffer is free again.</summary>
    public void Discard(ExpertKey key)
    {
        var entry = _byKey[key];
        if (!entry.Loading)
            throw new InvalidOperationException($"{key} is not being loaded");
        Remove(entry);
        _free.Push(entry.Slot);
        if (residency is not null)
            residency.IsFull = false;
    }

    private Entry? Victim(ExpertKey key, bool ahead)
    {
        if (nextUse is not null)
            return Farthest(key, ahead);
        return Last(_low, _ => true) ?? (ahead ? null : Last(_high, e => !e.Predicted) ?? Last(_high, _ => true));
    }

    private Entry? Farthest(ExpertKey key, bool ahead)
    {
        Entry? farthest = null;
        var at = ahead ? nextUse!(key) : 0;
        foreach (var entry in _byKey.Values)
        {
            // What is waited for takes any, whatever number an estimate gives: there is no other way on.
            if (entry.Evictable && nextUse!(entry.Key) is long use && (use > at || (farthest is null && !ahead)))
                (farthest, at) = (entry, use);
        }
        return farthest;
    }

    private static Entry? Last(LinkedList<Entry> list, Func<Entry, bool> may)
    {
        var node = list.Last;
        while (node is not null && !(node.Value.Evictable && may(node.Value)))
            node = node.Previous;
        return node?.Value;
    }

    private void Remember(Entry entry)
    {
        if (!entry.Predicted)
            _predicted.Add(entry);
        entry.Plan = _plan;
    }

    private void Forget(Entry entry)
    {
        if (!entry.Predicted)
            return;
        _predicted.Remove(entry);
        entry.Plan = null;
    }

    private void ToHigh(Entry entry)
    {
        entry.Node.List!.Remove(entry.Node);
        _high.AddFirst(entry.Node);
        Balance();
    }

    /// <summary>Moves the least recently used that are not predicted to the low level until the high one is in bounds.</summary>
    private void Balance()
    {
        for (var node = _high.Last; _high.Count > _highLimit && node is not null;)
        {
            var before = node.Previous;
            if (!node.Value.Predicted)
            {
                _high.Remove(node);
                _low.AddFirst(node);
            }
            node = before;
        }
    }

    private void Remove(Entry entry)
    {
        Forget(entry);
        entry.Node.List?.Remove(entry.Node);
        _byKey.Remove(entry.Key);
        if (residency is not null)
            residency[entry.Key] = false;
    }

    private sealed class Entry
    {
        public Entry(ExpertKey key, int slot)
        {
            (Key, Slot) = (key, slot);
            Node = new LinkedListNode<Entry>(this);
        }

        public ExpertKey Key { get; }

        public int Slot { get; }

        public LinkedListNode<Entry> Node { get; }

        public int Pins { get; set; }

        public bool Loading { get; set; }

        /// <summary>Loaded ahead, and not used since.</summary>
        public bool Unused { get; set; }

        /// <summary>The last plan that it was in; null since it was used or dropped.</summary>
        public int? Plan { get; set; }

        public bool Predicted => Plan is not null;

        public bool Evictable => Pins == 0 && !Loading;
    }
}
