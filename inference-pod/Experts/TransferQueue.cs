using System.Diagnostics.CodeAnalysis;

namespace Moebius.Inference.Experts;

/// <summary>A wish to load an expert.</summary>
/// <param name="Key">The expert.</param>
/// <param name="Demanded">Compute waits for it.</param>
/// <param name="Due">When it is needed: layers counted from the first step; 0 for what is demanded.</param>
/// <param name="Score">Expected tokens that use it; 0 for what is demanded.</param>
internal sealed record TransferRequest(ExpertKey Key, bool Demanded, long Due, float Score);

/// <summary>
/// The order of loads: what compute waits for first, in the order in which it asked; then what is loaded ahead, the
/// soonest due first and among those the likeliest. An expert is in it at most once, waiting or on its way; every
/// request ends by <see cref="Cancel"/>, <see cref="CancelDue"/> or <see cref="End"/>. Pure: no clock, no thread.
/// </summary>
internal sealed class TransferQueue
{
    private readonly SortedSet<(TransferRequest Request, long Sequence)> _waiting = new(Comparer<(TransferRequest Request, long Sequence)>.Create(Compare));
    private readonly Dictionary<ExpertKey, (TransferRequest Request, long Sequence)> _byKey = [];
    private readonly HashSet<ExpertKey> _running = [];
    private long _sequence;

    public int Waiting => _waiting.Count;

    public int Running => _running.Count;

    /// <summary>Requests that compute waits for and that have not begun.</summary>
    public int Demanded { get; private set; }

    public bool IsWaiting(ExpertKey key) => _byKey.ContainsKey(key);

    public bool IsRunning(ExpertKey key) => _running.Contains(key);

    /// <summary>Compute waits for an expert. A prefetch of it is promoted; if it is on its way nothing changes.</summary>
    public void Demand(ExpertKey key)
    {
        if (_running.Contains(key))
            return;
        if (_byKey.TryGetValue(key, out var waiting))
        {
            if (waiting.Request.Demanded)
                return;
            Remove(waiting);
        }
        Add(new TransferRequest(key, true, 0, 0));
    }

    /// <summary>An expert is worth loading ahead. A prefetch of it that waits takes the new place.</summary>
    /// <param name="key">The expert.</param>
    /// <param name="due">When it is needed, in layers.</param>
    /// <param name="score">Expected tokens that use it.</param>
    public void Prefetch(ExpertKey key, long due, float score)
    {
        if (_running.Contains(key))
            return;
        if (_byKey.TryGetValue(key, out var waiting))
        {
            if (waiting.Request.Demanded)
                return;
            Remove(waiting);
        }
        Add(new TransferRequest(key, false, due, score));
    }

    /// <summary>Takes the first request if it may begin now; it is then on its way until <see cref="End"/>.</summary>
    /// <param name="mayBegin">Whether there is room for it.</param>
    /// <param name="request">The request.</param>
    public bool TryBegin(Func<TransferRequest, bool> mayBegin, [NotNullWhen(true)] out TransferRequest? request)
    {
        request = null;
        // Where the first finds no room none does: the others may replace no more than it may.
        if (_waiting.Count == 0 || !mayBegin(_waiting.Min.Request))
            return false;
        var first = _waiting.Min;
        Remove(first);
        _running.Add(first.Request.Key);
        request = first.Request;
        return true;
    }

    /// <summary>A load ended, well or badly.</summary>
    public void End(ExpertKey key)
    {
        if (!_running.Remove(key))
            throw new InvalidOperationException($"{key} is not being loaded");
    }

    /// <summary>Withdraws a request that has not begun.</summary>
    public bool Cancel(ExpertKey key)
    {
        if (!_byKey.TryGetValue(key, out var waiting))
            return false;
        Remove(waiting);
        return true;
    }

    /// <summary>Withdraws prefetches that have not begun and were needed by <paramref name="due"/> or before.</summary>
    /// <returns>How many.</returns>
    public int CancelDue(long due)
    {
        var late = _waiting.SkipWhile(w => w.Request.Demanded).TakeWhile(w => w.Request.Due <= due).ToArray();
        foreach (var waiting in late)
            Remove(waiting);
        return late.Length;
    }

    private void Add(TransferRequest request)
    {
        var waiting = (request, _sequence++);
        _byKey[request.Key] = waiting;
        _waiting.Add(waiting);
        Demanded += request.Demanded ? 1 : 0;
    }

    private void Remove((TransferRequest Request, long Sequence) waiting)
    {
        _waiting.Remove(waiting);
        _byKey.Remove(waiting.Request.Key);
        Demanded -= waiting.Request.Demanded ? 1 : 0;
    }

    private static int Compare((TransferRequest Request, long Sequence) a, (TransferRequest Request, long Sequence) b)
    {
        int order = b.Request.Demanded.CompareTo(a.Request.Demanded);
        if (order == 0)
            order = a.Request.Due.CompareTo(b.Request.Due);
        if (order == 0)
            order = b.Request.Score.CompareTo(a.Request.Score);
        return order != 0 ? order : a.Sequence.CompareTo(b.Sequence);
    }
}
