using System.Diagnostics;

namespace Moebius.Operator.Runtime;

/// <summary>
/// A level-triggered queue: it holds which objects to look at, not what happened to them. An object is in it once
/// however often it is added, is never worked on twice at once, and comes back when it is added while being worked on.
/// </summary>
/// <remarks>
/// Three sets say it all: <c>dirty</c> needs work, <c>processing</c> is being worked on, <c>ready</c> orders what is
/// dirty and not processing. What is in <c>patient</c> too waits in <c>later</c> until hardly anything else is under way; of
/// all that is taken, one in <see cref="PatientShare"/> comes from there in any case.
/// </remarks>
internal sealed class WorkQueue<T>(string name, Backoff backoff, TimeProvider time, OperatorMetrics metrics) : IDisposable
    where T : notnull
{
    /// <summary>No timer runs longer than 49 days; looking once a day at what waits for months costs nothing.</summary>
    private static readonly TimeSpan LongestDelay = TimeSpan.FromDays(1);

    /// <summary>While more than these are under way, the patient go on waiting.</summary>
    private const int Crowd = 2;

    /// <summary>So often the patient have their turn, however many others wait.</summary>
    private const int PatientShare = 16;

    private readonly Lock gate = new();
    private readonly HashSet<T> dirty = [];
    private readonly HashSet<T> processing = [];
    private readonly Queue<(T Item, long Since)> ready = [];
    private readonly HashSet<T> patient = [];
    private readonly Queue<(T Item, long Since)> later = [];
    private readonly HashSet<T> urgent = [];
    private readonly Dictionary<T, int> failures = [];
    private readonly Dictionary<T, (ITimer Timer, DateTimeOffset Due)> timers = [];
    private readonly Dictionary<T, long> started = [];
    private readonly SemaphoreSlim available = new(0);
    private int turn;
    private int unused;
    private bool closed;

    /// <summary>Objects that wait to be worked on, delayed ones not counted.</summary>
    public int Count
    {
        get
        {
            lock (gate)
                return ready.Count + patient.Count(item => !processing.Contains(item));
        }
    }

    /// <summary>Asks for work on an object.</summary>
    public void Add(T item)
    {
        lock (gate)
        {
            // Somebody who does not want to wait takes the place of somebody who does.
            if (closed || (!dirty.Add(item) && !patient.Remove(item)))
                return;
            metrics.Adds.WithLabels(name).Inc();
            if (!processing.Contains(item))
                Enqueue(item);
        }
    }

    /// <summary>Asks for work when there is little else to do.</summary>
    public void AddLast(T item)
    {
        lock (gate)
        {
            if (closed || !dirty.Add(item))
                return;
            patient.Add(item);
            metrics.Adds.WithLabels(name).Inc();
            if (!processing.Contains(item))
                Enqueue(item);
        }
    }

    /// <summary>Asks for work later, in a day at the latest. The earliest of several such wishes counts.</summary>
    public void AddAfter(T item, TimeSpan delay)
    {
        if (delay <= TimeSpan.Zero)
        {
            Add(item);
            return;
        }

        if (delay > LongestDelay)
            delay = LongestDelay;
        lock (gate)
        {
            var due = time.GetUtcNow() + delay;
            if (closed || (timers.TryGetValue(item, out var pending) && pending.Due <= due))
                return;
            pending.Timer?.Dispose();
            timers[item] = (time.CreateTimer(_ => Fire(item, due), null, delay, Timeout.InfiniteTimeSpan), due);
        }
    }

    /// <summary>Asks for work after a failure: the more failures in a row, the later.</summary>
    public TimeSpan AddRateLimited(T item)
    {
        TimeSpan delay;
        lock (gate)
        {
            var count = failures[item] = failures.GetValueOrDefault(item) + 1;
            delay = backoff.Delay(count);
        }

        metrics.Retries.WithLabels(name).Inc();
        AddAfter(item, delay);
        return delay;
    }

    /// <summary>Forgets the failures of an object.</summary>
    public void Forget(T item)
    {
        lock (gate)
            failures.Remove(item);
    }

    /// <summary>The next object; each must be given back with <see cref="Done"/>. Null once the queue is closed and empty.</summary>
    public async ValueTask<(bool Taken, T? Item)> TakeAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await available.WaitAsync(cancellationToken).ConfigureAwait(false);
            lock (gate)
            {
                if (TryNext(out var next))
                {
                    dirty.Remove(next.Item);
                    processing.Add(next.Item);
                    started[next.Item] = Stopwatch.GetTimestamp();
                    metrics.Depth.WithLabels(name).Set(ready.Count + patient.Count);
                    metrics.QueueSeconds.WithLabels(name).Observe(Stopwatch.GetElapsedTime(next.Since).TotalSeconds);
                    CallPatient();
                    return (true, next.Item);
                }

                if (closed)
                {
                    // Whoever else waits learns of it too.
                    available.Release();
                    return (false, default);
                }

                // Called for somebody who has to go on waiting.
                unused++;
            }
        }
    }

    private bool TryNext(out (T Item, long Since) next)
    {
        if ((IsCalm || (patient.Count > 0 && ++turn % PatientShare == 0)) && TryLater(out next))
        {
            // Who is ready and had been called for is called for again.
            if (unused > 0 && ready.Count > 0)
            {
                unused--;
                available.Release();
            }

            return true;
        }

        if (!ready.TryDequeue(out next))
            return false;
        urgent.Add(next.Item);
        return true;
    }

    private bool TryLater(out (T Item, long Since) next)
    {
        // What somebody has asked for again since is in both queues: its place here is void.
        while (later.TryDequeue(out next))
        {
            if (!processing.Contains(next.Item) && patient.Remove(next.Item))
                return true;
        }

        return false;
    }

    private bool IsCalm => closed || (ready.Count == 0 && urgent.Count <= Crowd);

    private void CallPatient()
    {
        if (unused == 0 || !IsCalm)
            return;
        available.Release(unused);
        unused = 0;
    }

    /// <summary>Ends the work on an object.</summary>
    public void Done(T item)
    {
        lock (gate)
        {
            processing.Remove(item);
            urgent.Remove(item);
            if (started.Remove(item, out var since))
                metrics.WorkSeconds.WithLabels(name).Observe(Stopwatch.GetElapsedTime(since).TotalSeconds);
            if (dirty.Contains(item))
                Enqueue(item);
            CallPatient();
        }
    }

    /// <summary>Takes nothing more; what waits may still be taken.</summary>
    public void Close()
    {
        lock (gate)
        {
            if (closed)
                return;
            closed = true;
            foreach (var (timer, _) in timers.Values)
                timer.Dispose();
            timers.Clear();
            available.Release();
            CallPatient();
        }
    }

    /// <inheritdoc />
    public void Dispose()
    {
        Close();
        available.Dispose();
    }

    private void Fire(T item, DateTimeOffset due)
    {
        lock (gate)
        {
            if (!timers.TryGetValue(item, out var pending) || pending.Due != due)
                return;
            pending.Timer.Dispose();
            timers.Remove(item);
        }

        Add(item);
    }

    private void Enqueue(T item)
    {
        (patient.Contains(item) ? later : ready).Enqueue((item, Stopwatch.GetTimestamp()));
        metrics.Depth.WithLabels(name).Set(ready.Count + patient.Count);
        available.Release();
    }
}
