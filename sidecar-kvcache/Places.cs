namespace Moebius.KvCache;

/// <summary>
/// Places that tenants take and give back. None may have more than are left: so one alone gets half of them, a few share most of
/// them alike, and whoever comes later still finds some.
/// </summary>
/// <param name="most">Places there are.</param>
internal sealed class Places<TKey>(long most) where TKey : notnull
{
    private readonly Lock _gate = new();
    private readonly Dictionary<TKey, long> _taken = [];
    private long _count;

    /// <summary>Places taken by all.</summary>
    public long Count
    {
        get
        {
            lock (_gate)
                return _count;
        }
    }

    /// <summary>Takes places. False: there is no room, or it would have more than are left.</summary>
    public bool TryTake(TKey key, long count = 1)
    {
        lock (_gate)
        {
            var taken = _taken.GetValueOrDefault(key) + count;
            if (taken > most - _count)
                return false;
            _taken[key] = taken;
            _count += count;
            return true;
        }
    }

    /// <summary>Gives places back that it has taken.</summary>
    public void Give(TKey key, long count = 1)
    {
        lock (_gate)
        {
            _count -= count;
            if ((_taken[key] -= count) == 0)
                _taken.Remove(key);
        }
    }
}
