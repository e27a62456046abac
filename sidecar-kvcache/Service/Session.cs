using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Service;

/// <summary>
/// One engine process and its model: what it has leased and reserved, so that all of it can be reclaimed when the
/// process goes away.
/// </summary>
internal sealed class Session(string id, string engineId, Layout layout, IndexRoot root, long attachedAt)
{
    private readonly object _gate = new();
    private readonly Dictionary<ulong, IndexLease> _leases = [];
    private readonly Dictionary<SlotRef, TenantKey> _reserved = [];
    private ulong _leaseNumber;
    private bool _ended;

    public string Id { get; } = id;

    public string EngineId { get; } = engineId;

    public Layout Layout { get; } = layout;

    public IndexRoot Root { get; } = root;

    /// <summary>Milliseconds; a session that nobody holds by some time after this is given up.</summary>
    public long AttachedAt { get; } = attachedAt;

    /// <summary>1 while a Hold call is open.</summary>
    public int Holders;

    /// <summary>Keeps a lease until it is ended or the session is.</summary>
    /// <returns>Its number, never 0. Null: the session ended meanwhile and the lease is released again.</returns>
    public ulong? AddLease(IndexLease lease)
    {
        lock (_gate)
        {
            if (!_ended)
            {
                _leases[++_leaseNumber] = lease;
                return _leaseNumber;
            }
        }

        lease.Release();
        return null;
    }

    /// <summary>Ends a lease; an unknown one is no error.</summary>
    public void EndLease(ulong number)
    {
        IndexLease lease;
        lock (_gate)
        {
            if (!_leases.Remove(number, out lease))
                return;
        }

        lease.Release();
    }

    /// <summary>Notes reserved slots. False: the session ended meanwhile and the slots are free again.</summary>
    public bool AddReserved(TenantKey tenant, IReadOnlyList<SlotRef> slots)
    {
        lock (_gate)
        {
            if (!_ended)
            {
                foreach (var slot in slots)
                    _reserved[slot] = tenant;
                return true;
            }
        }

        Cancel(tenant, slots);
        return false;
    }

    /// <summary>Takes slots out of their reservation, all or none.</summary>
    /// <returns>Position of the first slot that is not reserved by this session for this tenant; -1 when all were taken.</returns>
    public int TakeReserved(TenantKey tenant, IReadOnlyList<SlotRef> slots)
    {
        lock (_gate)
        {
            for (var index = 0; index < slots.Count; index++)
            {
                if (_reserved.TryGetValue(slots[index], out var reservedFor) && reservedFor == tenant && _reserved.Remove(slots[index]))
                    continue;
                for (var taken = 0; taken < index; taken++)
                    _reserved[slots[taken]] = tenant;
                return index;
            }

            return -1;
        }
    }

    /// <summary>Frees reserved slots.</summary>
    /// <returns>Position of the first slot that this session has not reserved; -1 when there is none.</returns>
    public int CancelReserved(IReadOnlyList<SlotRef> slots)
    {
        var unknown = -1;
        for (var index = 0; index < slots.Count; index++)
        {
            TenantKey tenant;
            bool known;
            lock (_gate)
                known = _reserved.Remove(slots[index], out tenant);
            if (known)
                Cancel(tenant, [slots[index]]);
            else if (unknown < 0)
                unknown = index;
        }

        return unknown;
    }

    /// <summary>Reclaims everything. Later calls find nothing to do.</summary>
    public void End()
    {
        List<IndexLease> leases;
        List<IGrouping<TenantKey, SlotRef>> reserved;
        lock (_gate)
        {
            if (_ended)
                return;
            _ended = true;
            leases = [.. _leases.Values];
            reserved = [.. _reserved.GroupBy(entry => entry.Value, entry => entry.Key)];
            _leases.Clear();
            _reserved.Clear();
        }

        foreach (var lease in leases)
            lease.Release();
        foreach (var group in reserved)
            Cancel(group.Key, [.. group]);
    }

    private void Cancel(TenantKey tenant, IReadOnlyList<SlotRef> slots)
    {
        foreach (var slot in slots)
            Layout.Slots.Free(slot.Index);
        Layout.Index.EndReservation(tenant, slots.Count);
    }
}
