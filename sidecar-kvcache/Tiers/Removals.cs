namespace Moebius.KvCache.Tiers;

/// <summary>
/// What is still to be taken away from the tier between pods: names, or tenants. What its server does not answer for stays until the
/// next time. The oldest are forgotten; they go when they have been idle.
/// </summary>
/// <param name="lot">How many are taken away at once.</param>
/// <param name="remove">Takes some away; false: the server did not.</param>
internal sealed class Removals<T>(int lot, Func<IReadOnlyList<T>, Task<bool>> remove) where T : notnull
{
    /// <summary>How many are remembered.</summary>
    public const int Most = 1 << 16;

    private readonly object _gate = new();

    // Each with the number of its last announcement: what is announced again while it is taken away is taken away again, since
    // something may have been written behind the removal's back.
    private readonly RecentMap<T, long> _pending = new(Most);
    private long _count;
    private bool _running;

    /// <summary>Notes what is to be taken away.</summary>
    public void Add(IEnumerable<T> items)
    {
        lock (_gate)
        {
            foreach (var item in items)
                _pending.Set(item, ++_count);
        }
    }

    /// <summary>Whether something is noted and not taken away yet.</summary>
    public bool Has(T item)
    {
        lock (_gate)
            return _pending.Contains(item);
    }

    /// <summary>Takes away what is noted, unless that is being done already, until the server does not answer.</summary>
    public async Task RunAsync()
    {
        lock (_gate)
        {
            if (_running)
                return;
            _running = true;
        }

        var goesOn = true;
        while (goesOn)
        {
            var next = Next();
            var done = false;
            try
            {
                done = next.Count > 0 && await remove([.. next.Select(static item => item.Item)]);
            }
            finally
            {
                goesOn = End(next, done);
            }
        }
    }

    private List<(T Item, long Number)> Next()
    {
        lock (_gate)
            return [.. _pending.Keys.Take(lot).Select(item => (item, _pending.GetValueOrDefault(item, 0)))];
    }

    /// <summary>Forgets what has been taken away.</summary>
    /// <returns>Whether there is more, which is then this run's to take away.</returns>
    private bool End(List<(T Item, long Number)> items, bool done)
    {
        lock (_gate)
        {
            foreach (var (item, number) in items)
            {
                if (_pending.GetValueOrDefault(item, 0) != number)
                    continue;
                if (done)
                    _pending.TryRemove(item, out _);
                else
                    // To the end: what fails by itself keeps nothing else from its turn.
                    _pending.Set(item, number);
            }

            // Under the gate: whoever adds something either is seen here or finds that nobody is at it.
            return _running = done && _pending.Count > 0;
        }
    }
}
