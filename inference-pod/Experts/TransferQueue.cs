using System.Diagnostics.CodeAnalysis;

namespace Moebius.Inference.Experts;

/// <summary>A wish to load an expert.</summary>
/// <param name="Key">The expert.</param>
/// <param name="Demanded">Compute waits for it; otherwise it is loaded ahead.</param>
internal sealed record TransferRequest(ExpertKey Key, bool Demanded);

/// <summary>
/// The order of loads: what compute waits for first, in the order in which it asked; then what is loaded ahead, in the
/// plan's order. An expert is in it at most once, waiting or on its way; every request ends by being withdrawn or by
/// <see cref="End"/>. Pure: no clock, no thread.
/// </summary>
internal sealed class TransferQueue
{
    private readonly LinkedList<ExpertKey> _demanded = new();
    private readonly LinkedList<ExpertKey> _ahead = new();
    private readonly Dictionary<ExpertKey, LinkedListNode<ExpertKey>> _waiting = [];
    private readonly HashSet<ExpertKey> _running = [];

    /// <summary>Requests that have not begun.</summary>
    public int Waiting => _waiting.Count;

    /// <summary>Those of them that compute waits for.</summary>
    public int Demanded => _demanded.Count;

    /// <summary>Loads on their way.</summary>
    public int Running => _running.Count;

    public bool IsWaiting(ExpertKey key) => _waiting.ContainsKey(key);

    public bool IsRunning(ExpertKey key) => _running.Contains(key);

    /// <summary>Compute waits for an expert. A prefetch of it is promoted; if it is on its way nothing changes.</summary>
    public void Demand(ExpertKey key)
    {
        if (_running.Contains(key))
            return;
        if (_waiting.TryGetValue(key, out var node))
        {
            if (node.List == _demanded)
                return;
            _ahead.Remove(node);
        }
        _waiting[key] = _demanded.AddLast(key);
    }

    /// <summary>An expert is worth loading ahead, after those that were said before.</summary>
    public void Prefetch(ExpertKey key)
    {
        if (!_running.Contains(key) && !_waiting.ContainsKey(key))
            _waiting[key] = _ahead.AddLast(key);
    }

    /// <summary>Withdraws all loads ahead that have not begun.</summary>
    public void CancelPrefetches()
    {
        foreach (var key in _ahead)
            _waiting.Remove(key);
        _ahead.Clear();
    }

    /// <summary>Withdraws a layer's loads ahead that have not begun.</summary>
    public void CancelPrefetches(int layer)
    {
        for (var node = _ahead.First; node is not null;)
        {
            var next = node.Next;
            if (node.Value.Layer == layer)
            {
                _waiting.Remove(node.Value);
                _ahead.Remove(node);
            }
            node = next;
        }
    }

    /// <summary>Withdraws a request that has not begun. Returns false when there is none.</summary>
    public bool Withdraw(ExpertKey key)
    {
        if (!_waiting.Remove(key, out var node))
            return false;
        node.List!.Remove(node);
        return true;
    }

    /// <summary>
    /// Takes the first request that may begin now; it is then on its way until <see cref="End"/>. Nothing overtakes what
    /// compute waits for; a load ahead that finds no room lets the next one try, which may be worth more.
    /// </summary>
    /// <param name="mayBegin">Whether there is room for it.</param>
    /// <param name="request">The request.</param>
    public bool TryBegin(Func<TransferRequest, bool> mayBegin, [NotNullWhen(true)] out TransferRequest? request)
    {
        request = null;
        var demanded = _demanded.First is not null;
        for (var node = demanded ? _demanded.First : _ahead.First; node is not null; node = node.Next)
        {
            var candidate = new TransferRequest(node.Value, demanded);
            if (mayBegin(candidate))
            {
                Withdraw(candidate.Key);
                _running.Add(candidate.Key);
                request = candidate;
                return true;
            }
            if (demanded)
                return false;
        }
        return false;
    }

    /// <summary>A load ended, well or badly.</summary>
    public void End(ExpertKey key)
    {
        if (!_running.Remove(key))
            throw new InvalidOperationException($"{key} is not being loaded");
    }
}
