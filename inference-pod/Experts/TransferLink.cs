using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Experts;

/// <summary>An expert whose weights are there and stay until it is released.</summary>
/// <param name="Key">The expert.</param>
/// <param name="Slot">Its buffer.</param>
internal readonly record struct ArrivedExpert(ExpertKey Key, int Slot);

/// <summary>
/// Carries experts from the slow tier to their buffers on a few threads that block in reads. What to load and over what
/// is decided by <see cref="ExpertScheduler"/>, under the one lock of this class. The compute thread does not stand by
/// while something that it needs waits for a thread: it reads it itself.
/// </summary>
internal sealed class TransferLink : IDisposable
{
    private const double SpinSeconds = 60e-6;

    private readonly ExpertScheduler _scheduler;
    private readonly IExpertSource _source;
    private readonly ExpertBuffers _buffers;
    private readonly Thread[] _readers;
    private readonly TransferMeter _meter = new();

    /// <summary>Guards everything; the compute thread waits on it for arrivals.</summary>
    private readonly object _gate = new();
    private readonly List<ArrivedExpert> _arrived = [];
    private readonly List<Exception> _failed = [];
    private long _loadedBytes;
    private volatile bool _news;
    private int _idle;
    private bool _stopping;

    /// <summary>Idle readers wait on it, apart from the compute thread, so that an arrival wakes only who waits for one.</summary>
    private readonly object _work = new();
    private int _permits, _due;
    private readonly Action _wakeDue;

    /// <param name="scheduler">Decides; only this class calls it from now on.</param>
    /// <param name="source">The slow tier.</param>
    /// <param name="buffers">The fast tier.</param>
    /// <param name="readers">Threads, at least 1; the compute thread is one more while it waits.</param>
    public TransferLink(ExpertScheduler scheduler, IExpertSource source, ExpertBuffers buffers, int readers)
    {
        (_scheduler, _source, _buffers) = (scheduler, source, buffers);
        _wakeDue = () => Wake(Interlocked.Exchange(ref _due, 0));
        _readers = new Thread[readers];
        for (var i = 0; i < readers; i++)
        {
            _readers[i] = new Thread(ReadLoop) { IsBackground = true, Name = $"experts-{i}" };
            _readers[i].Start();
        }
    }

    /// <summary>
    /// Has another thread do something, if one is free: a reader that is woken mostly runs in place of the thread that wakes it, for
    /// the 20 us that it takes to begin a read. Null: there is no such thread.
    /// </summary>
    public Func<Action, bool>? HandOver { get; set; }

    /// <summary>Pins those of the experts that are resident into <paramref name="resident"/>, and demands the others.</summary>
    /// <returns>How many are to arrive.</returns>
    public int Use(IReadOnlyList<ExpertKey> keys, List<ArrivedExpert> resident)
    {
        int wake;
        lock (_gate)
        {
            foreach (var key in keys)
            {
                if (_scheduler.TryUse(key, out var slot))
                    resident.Add(new ArrivedExpert(key, slot));
            }
            wake = ToWake();
        }
        WakeFromCompute(wake);
        return keys.Count - resident.Count;
    }

    /// <summary>Waits until something that was demanded is there; returns all that is.</summary>
    /// <param name="arrived">Receives it.</param>
    /// <param name="idle">Does a few microseconds of other work meanwhile; false: there is none.</param>
    /// <exception cref="IOException">A demanded load failed, or what its source throws.</exception>
    public void WaitForArrivals(List<ArrivedExpert> arrived, Func<bool>? idle = null)
    {
        for (var blocks = false; ;)
        {
            Transfer? own = null;
            lock (_gate)
            {
                if (_arrived.Count > 0)
                {
                    arrived.AddRange(_arrived);
                    _arrived.Clear();
                    _news = false;
                    return;
                }
                if (_failed.Count > 0)
                    ExceptionDispatchInfo.Throw(_failed[0]);
                if (!(_scheduler.Demanded > 0 && TryBegin(out own)) && blocks)
                    Monitor.Wait(_gate);
            }
            if (own is not null)
                Carry(own);
            else if (!blocks)
                blocks = !SpinForNews(idle);
        }
    }

    public void Release(IReadOnlyList<ArrivedExpert> experts)
    {
        if (experts.Count == 0)
            return;
        int wake;
        lock (_gate)
        {
            foreach (var expert in experts)
                _scheduler.Release(expert.Key);
            wake = ToWake();
        }
        WakeFromCompute(wake);
    }

    /// <summary>A layer ends: what it still waits for is no longer wanted, and what arrived unseen is released.</summary>
    public void Abandon(IEnumerable<ExpertKey> keys)
    {
        int wake;
        lock (_gate)
        {
            foreach (var key in keys)
                _scheduler.Abandon(key);
            foreach (var expert in _arrived)
                _scheduler.Release(expert.Key);
            _arrived.Clear();
            _failed.Clear();
            _news = false;
            wake = ToWake();
        }
        WakeFromCompute(wake);
    }

    /// <summary>Takes over a policy's plan.</summary>
    public void Plan(IReadOnlyList<PrefetchRequest> plan)
    {
        int wake;
        lock (_gate)
        {
            _scheduler.Plan(plan);
            wake = ToWake();
        }
        WakeFromCompute(wake);
    }

    /// <summary>Loads experts into free buffers and waits for all of them, the compute thread reading too.</summary>
    /// <param name="keys">No more than there are buffers.</param>
    /// <param name="done">Told how many are there.</param>
    public void Fill(IReadOnlyList<ExpertKey> keys, Action<int>? done)
    {
        int wake;
        lock (_gate)
        {
            _scheduler.Filling = true;
            _scheduler.Plan([.. keys.Select(k => new PrefetchRequest(k, 1))]);
            wake = ToWake();
        }
        WakeFromCompute(wake);
        while (true)
        {
            Transfer? own;
            lock (_gate)
            {
                if (_failed.Count > 0)
                    ExceptionDispatchInfo.Throw(_failed[0]);
                if (!TryBegin(out own))
                {
                    if (_scheduler.Running == 0)
                    {
                        _scheduler.Filling = false;
                        return;
                    }
                    Monitor.Wait(_gate);
                }
            }
            if (own is not null)
                Carry(own);
            done?.Invoke(Count());
        }
    }

    /// <summary>Reads the counters under the lock.</summary>
    public T Read<T>(Func<ExpertScheduler, TransferMeter, long, T> read)
    {
        lock (_gate)
            return read(_scheduler, _meter, _loadedBytes);
    }

    /// <summary>Loads that have begun end; what waits is dropped. No thread touches a buffer after this.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_stopping)
                return;
            _stopping = true;
        }
        lock (_work)
        {
            _permits += _readers.Length;
            Monitor.PulseAll(_work);
        }
        foreach (var reader in _readers)
            reader.Join();
    }

    private int Count()
    {
        lock (_gate)
            return _scheduler.Cache.Count - _scheduler.Running;
    }

    private void ReadLoop()
    {
        while (true)
        {
            Transfer? transfer;
            lock (_gate)
            {
                if (_stopping)
                    return;
                if (!TryBegin(out transfer))
                    _idle++;
            }
            if (transfer is not null)
            {
                Carry(transfer);
                continue;
            }
            lock (_work)
            {
                while (_permits == 0)
                    Monitor.Wait(_work);
                _permits--;
            }
        }
    }

    private bool TryBegin(out Transfer? transfer)
    {
        if (!_scheduler.TryBegin(out transfer))
            return false;
        _meter.Begin(Now());
        return true;
    }

    /// <summary>Performs one load, on whichever thread took it.</summary>
    private void Carry(Transfer transfer)
    {
        var begun = Now();
        long bytes = 0;
        Exception? failure = null;
        try
        {
            bytes = _source.Read(transfer.Key, _buffers.Span(transfer.Slot));
        }
#pragma warning disable CA1031 // Whatever the source throws belongs to who waits for the expert, not to this thread.
        catch (Exception e)
#pragma warning restore CA1031
        {
            failure = e;
        }
        int wake;
        lock (_gate)
        {
            _meter.End(begun, Now(), bytes);
            _loadedBytes += bytes;
            // A load ahead that failed harms nobody yet: whoever comes to need the expert tries again and is told.
            if (failure is null ? _scheduler.Complete(transfer.Key) : _scheduler.Fail(transfer.Key) || _scheduler.Filling)
            {
                if (failure is null)
                    _arrived.Add(new ArrivedExpert(transfer.Key, transfer.Slot));
                else
                    _failed.Add(failure);
                _news = true;
            }
            Monitor.PulseAll(_gate);
            wake = ToWake();
        }
        Wake(wake);
    }

    /// <summary>How many idle readers to <see cref="Wake"/>: as many as there is work for. Called under the lock after anything that may make work.</summary>
    private int ToWake()
    {
        var wake = Math.Min(_idle, _scheduler.Ready);
        _idle -= wake;
        return wake;
    }

    /// <summary>Wakes idle readers, without the lock: it is the first that they ask for.</summary>
    private void Wake(int readers)
    {
        if (readers == 0)
            return;
        lock (_work)
        {
            _permits += readers;
            for (var i = 0; i < readers; i++)
                Monitor.Pulse(_work);
        }
    }

    /// <summary>The same for the compute thread, which hands it over if it can.</summary>
    private void WakeFromCompute(int readers)
    {
        if (readers == 0)
            return;
        Interlocked.Add(ref _due, readers);
        if (HandOver is null || !HandOver(_wakeDue))
            _wakeDue();
    }

    /// <summary>Being woken takes about as long as a small read: what is nearly there is worth a moment of spinning.</summary>
    private bool SpinForNews(Func<bool>? idle)
    {
        var works = idle is not null;
        for (var end = Now() + SpinSeconds; works || Now() < end;)
        {
            if (_news)
                return true;
            works = works && idle!();
            if (!works)
                Thread.SpinWait(10);
        }
        return false;
    }

    private static double Now() => (double)Stopwatch.GetTimestamp() / Stopwatch.Frequency;
}
