using System.Collections.Concurrent;

namespace Moebius.Inference.Engine;

/// <summary>
/// Takes what sequences say to whoever waits for it, on a thread of the pool and in the order in which it was said.
/// Waking a reader takes the engine's thread longer than choosing a token, and a step has many to wake: so it wakes one
/// thread for all of them.
/// </summary>
internal sealed class EventRelay : IThreadPoolWorkItem
{
    private readonly ConcurrentQueue<(Generation To, GenerationEvent What)[]> _queue = new();
    private readonly List<(Generation To, GenerationEvent What)> _said = [];
    private int _running;

    /// <summary>Keeps an event until the next <see cref="Flush"/>. One thread calls the two.</summary>
    public void Add(Generation to, GenerationEvent what) => _said.Add((to, what));

    /// <summary>Lets everything that was said arrive soon.</summary>
    public void Flush()
    {
        if (_said.Count == 0)
            return;
        // All at once: each would have to be fetched from the cache of the thread that delivers the one before.
        _queue.Enqueue([.. _said]);
        _said.Clear();
        if (Interlocked.Exchange(ref _running, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    void IThreadPoolWorkItem.Execute()
    {
        do
        {
            while (_queue.TryDequeue(out var said))
            {
                foreach (var (to, what) in said)
                    Deliver(to, what);
            }

            Interlocked.Exchange(ref _running, 0);
        }
        while (!_queue.IsEmpty && Interlocked.Exchange(ref _running, 1) == 0);
    }

    private static void Deliver(Generation to, GenerationEvent what)
    {
        to.Events.Writer.TryWrite(what);
        if (what.Finish is not null)
            to.Events.Writer.TryComplete();
    }
}
