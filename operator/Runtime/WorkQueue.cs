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

    private readonly Lock _gate = new();
    private readonly HashSet<T> _dirty = [];
    private readonly HashSet<T> _processing = [];
    private readonly Queue<(T Item, long Since)> _ready = [];
    private readonly HashSet<T> _patient = [];
    private readonly Queue<(T Item, long Since)> _later = [];
    private readonly HashSet<T> _urgent = [];
    private readonly Dictionary<T, int> _failures = [];
    private readonly Dictionary<T, (ITimer Timer, DateTimeOffset Due)> _timers = [];
    private readonly Dictionary<T, long> _started = [];
    private readonly SemaphoreSlim _available = new(0);
    private int _turn;
    private int _unused;
    private bool _closed;

    /// <summary>Objects that wait to be worked on, delayed ones not counted.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _ready.Count + _patient.Count(item => !_processing.Contains(item));
        }
    }

    /// <summary>Asks for work on an object.</summary>
    public void Add(T item)
    {
        lock (_gate)
        {
            // Somebody who does not want to wait takes the place of somebody who does.
            if (_closed || (!_dirty.Add(item) && !_patient.Remove(item)))
                return;
            metrics.Adds.WithLabels(name).Inc();
            if (!_processing.Contains(item))
                Enqueue(item);
        }
    }

    /// <summary>Asks for work when there is little else to do.</summary>
    public void AddLast(T item)
    {
        lock (_gate)
        {
            if (_closed || !_dirty.Add(item))
                return;
            _patient.Add(item);
            metrics.Adds.WithLabels(name).Inc();
            if (!_processing.Contains(item))
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
        lock (_gate)
        {
            var due = time.GetUtcNow() + delay;
            if (_closed || (_timers.TryGetValue(item, out var pending) && pending.Due <= due))
                return;
            pending.Timer?.Dispose();
            _timers[item] = (time.CreateTimer(_ => Fire(item, due), null, delay, Timeout.InfiniteTimeSpan), due);
        }
    }

    /// <summary>Asks for work after a failure: the more failures in a row, the later.</summary>
    public TimeSpan AddRateLimited(T item)
    {
        TimeSpan delay;
        lock (_gate)
        {
            var count = _failures[item] = _failures.GetValueOrDefault(item) + 1;
            delay = backoff.Delay(count);
        }

        metrics.Retries.WithLabels(name).Inc();
        AddAfter(item, delay);
        return delay;
    }

    /// <summary>Forgets the failures of an object.</summary>
    public void Forget(T item)
    {
        lock (_gate)
            _failures.Remove(item);
    }

    /// <summary>The next object; each must be given back with <see cref="Done"/>. Null once the queue is closed and empty.</summary>
    public async ValueTask<(bool Taken, T? Item)> TakeAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await _available.WaitAsync(cancellationToken).ConfigureAwait(false);
            lock (_gate)
            {
                if (TryNext(out var next))
                {
                    _dirty.Remove(next.Item);
                    _processing.Add(next.Item);
                    _started[next.Item] = Stopwatch.GetTimestamp();
                    metrics.Depth.WithLabels(name).Set(_ready.Count + _patient.Count);
                    metrics.QueueSeconds.WithLabels(name).Observe(Stopwatch.GetElapsedTime(next.Since).TotalSeconds);
                    CallPatient();
                    return (true, next.Item);
                }

                if (_closed)
                {
                    // Whoever else waits learns of it too.
                    _available.Release();
                    return (false, default);
                }

                // Called for somebody who has to go on waiting.
                _unused++;
            }
        }
    }

    private bool TryNext(out (T Item, long Since) next)
    {
        if ((IsCalm || (_patient.Count > 0 && ++_turn % PatientShare == 0)) && TryLater(out next))
        {
            // Who is ready and had been called for is called for again.
            if (_unused > 0 && _ready.Count > 0)
            {
                _unused--;
                _available.Release();
            }

            return true;
        }

        if (!_ready.TryDequeue(out next))
            return false;
        _urgent.Add(next.Item);
        return true;
    }

    private bool TryLater(out (T Item, long Since) next)
    {
        // What somebody has asked for again since is in both queues: its place here is void.
        while (_later.TryDequeue(out next))
        {
            if (!_processing.Contains(next.Item) && _patient.Remove(next.Item))
                return true;
        }

        return false;
    }

    private bool IsCalm => _closed || (_ready.Count == 0 && _urgent.Count <= Crowd);

    private void CallPatient()
    {
        if (_unused == 0 || !IsCalm)
            return;
        _available.Release(_unused);
        _unused = 0;
    }

    /// <summary>Ends the work on an object.</summary>
    public void Done(T item)
    {
        lock (_gate)
        {
            _processing.Remove(item);
            _urgent.Remove(item);
            if (_started.Remove(item, out var since))
                metrics.WorkSeconds.WithLabels(name).Observe(Stopwatch.GetElapsedTime(since).TotalSeconds);
            if (_dirty.Contains(item))
                Enqueue(item);
            CallPatient();
        }
    }

    /// <summary>Takes nothing more; what waits may still be taken.</summary>
    public void Close()
    {
        lock (_gate)
        {
            if (_closed)
                return;
            _closed = true;
            foreach (var (timer, _) in _timers.Values)
                timer.Dispose();
            _timers.Clear();
            _available.Release();
            CallPatient();
        }
    }

    /// <inheritdoc />
    public void Dispose()
    {
        Close();
        _available.Dispose();
    }

    private void Fire(T item, DateTimeOffset due)
    {
        lock (_gate)
        {
            if (!_timers.TryGetValue(item, out var pending) || pending.Due != due)
                return;
            pending.Timer.Dispose();
            _timers.Remove(item);
        }

        Add(item);
    }

    private void Enqueue(T item)
    {
        (_patient.Contains(item) ? _later : _ready).Enqueue((item, Stopwatch.GetTimestamp()));
        metrics.Depth.WithLabels(name).Set(_ready.Count + _patient.Count);
        _available.Release();
    }
}
