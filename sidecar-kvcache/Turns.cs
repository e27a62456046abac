using System.Diagnostics.CodeAnalysis;

namespace Moebius.KvCache;

/// <summary>
/// A line in which tenants take turns: what one waits for comes in the order in which it asked, and of the tenants one after the
/// other has something of its own come. So one with little waits for one of each other's, however much they have there.
/// </summary>
internal sealed class Turns<TKey, T> where TKey : notnull
{
    private readonly Lock _gate = new();
    private readonly Dictionary<TKey, Queue<T>> _waiting = [];

    // Those with something in the line, each once.
    private readonly Queue<TKey> _next = new();

    public void Add(TKey key, T item)
    {
        lock (_gate)
        {
            if (!_waiting.TryGetValue(key, out var own))
            {
                _waiting[key] = own = new Queue<T>();
                _next.Enqueue(key);
            }

            own.Enqueue(item);
        }
    }

    /// <summary>Takes what comes next. False: nothing is there.</summary>
    public bool TryTake([MaybeNullWhen(false)] out T item)
    {
        lock (_gate)
        {
            item = default;
            if (!_next.TryDequeue(out var key))
                return false;
            var own = _waiting[key];
            item = own.Dequeue();
            if (own.Count > 0)
                _next.Enqueue(key);
            else
                _waiting.Remove(key);
            return true;
        }
    }
}

/// <summary>Lets some in at a time; of those that wait, tenants take <see cref="Turns{TKey, T}"/>.</summary>
/// <param name="most">How many are in at a time.</param>
internal sealed class TurnGate<TKey>(int most) where TKey : notnull
{
    private readonly Lock _gate = new();
    private readonly Turns<TKey, TaskCompletionSource> _waiting = new();
    private int _free = most;

    /// <summary>Waits for its turn. Whoever has come in leaves again.</summary>
    /// <param name="key">Whose turn it is.</param>
    /// <param name="cancel">Ends the wait.</param>
    public Task EnterAsync(TKey key, CancellationToken cancel)
    {
        var turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_free > 0)
            {
                _free--;
                return Task.CompletedTask;
            }

            _waiting.Add(key, turn);
        }

        return WaitAsync(turn, cancel);
    }

    public void Leave()
    {
        lock (_gate)
        {
            while (_waiting.TryTake(out var turn))
            {
                // Who does not wait any more has no turn.
                if (turn.TrySetResult())
                    return;
            }

            _free++;
        }
    }

    private static async Task WaitAsync(TaskCompletionSource turn, CancellationToken cancel)
    {
        await using (cancel.Register(() => turn.TrySetCanceled(cancel)))
            await turn.Task;
    }
}
