using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Moebius.Inference.Kernels;

/// <summary>
/// Runs independent tasks on a fixed number of threads: the caller's and helpers of its own. Small work stays on the
/// caller's thread. A helper that runs out of work spins for some microseconds, because the next work of the same step
/// is about to come, and then sleeps: between steps no processor is kept busy. Tasks are taken one by one by whoever
/// is free and the caller takes them too, so a helper that gets no processor delays nothing but the task that it holds.
/// The caller takes them from the front and helpers from the back: what a thread has written of some rows in one work, it mostly
/// finds in its own cache in the next.
/// </summary>
internal sealed class Workers : IDisposable
{
    /// <summary>Multiply-adds that are worth another thread.</summary>
    public const long WorkPerThread = 50_000;

    private readonly Pool? _pool;

    public Workers(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _pool = threads > 1 ? new Pool(threads - 1) : null;
    }

    ~Workers() => _pool?.Stop();

    public int Threads { get; }

    /// <summary>Whether work of this many multiply-adds is worth splitting.</summary>
    public bool Pays(long work) => Threads > 1 && work >= 2 * WorkPerThread;

    /// <summary>
    /// Runs <paramref name="body"/> for 0..tasks-1, in any order, and returns when all have ended. Where some throw,
    /// the first one's exception is thrown here, after the others have ended. May be called inside of a body; its
    /// tasks run on that thread then.
    /// </summary>
    /// <param name="tasks">Number of tasks.</param>
    /// <param name="work">Their multiply-adds, all together.</param>
    /// <param name="body">One task.</param>
    public void Run(int tasks, long work, Action<int> body)
    {
        if (tasks > 1 && Pays(work) && _pool!.TryRun(tasks, body))
            return;
        for (var i = 0; i < tasks; i++)
            body(i);
    }

    /// <summary>
    /// Has a helper that would spin for nothing do something that the caller need not wait for: what is about to put a thread to
    /// run in the caller's place, then does so in the helper's. False: no helper spins, and nothing is done.
    /// </summary>
    /// <param name="errand">It throws nothing, and may be called after other work of the caller, or at the same time.</param>
    public bool TryHandOver(Action errand) => _pool is not null && _pool.TryHandOver(errand);

    /// <summary>Splits [0, count) into ranges that are multiples of <paramref name="grain"/> and runs them.</summary>
    public void RunRanges(int count, int grain, long work, Action<int, int> body)
    {
        var step = Step(count, grain, work);
        if (step >= count)
            body(0, count);
        else
            RunSteps(count, step, work, body);
    }

    // By itself, so that work which stays whole allocates nothing for the parts.
    private void RunSteps(int count, int step, long work, Action<int, int> body) =>
        Run((count + step - 1) / step, work, i => body(i * step, Math.Min(count, (i + 1) * step)));

    /// <summary>The length of each range of <see cref="RunRanges"/>: a few for each thread, so that none waits long for another.</summary>
    public int Step(int count, int grain, long work)
    {
        if (!Pays(work))
            return Math.Max(1, count);
        var parts = (int)Math.Min(Threads * 4, Math.Max(Threads, work / WorkPerThread));
        return Math.Max(1, ((count + parts - 1) / parts + grain - 1) / grain * grain);
    }

    public void Dispose()
    {
        _pool?.Stop();
        GC.SuppressFinalize(this);
    }

    /// <summary>The helpers. They know nothing of the <see cref="Workers"/>, so that an abandoned one can be collected.</summary>
    private sealed class Pool(int helpers)
    {
        private static readonly long Spin = Stopwatch.Frequency * 60 / 1_000_000;

        private readonly object _gate = new();
        private Region? _current;
        private Action? _errand;
        private int _sleeping, _watching;
        private int _busy;
        private bool _started;
        private volatile bool _stopped;

        /// <summary>False where the pool is in use already, by an outer body or by another caller.</summary>
        public bool TryRun(int tasks, Action<int> body)
        {
            if (Interlocked.CompareExchange(ref _busy, 1, 0) != 0)
                return false;
            try
            {
                Start();
                var region = new Region(tasks, body);
                // A full fence on both sides: a helper either sees the region or is counted as asleep here.
                Interlocked.Exchange(ref _current, region);
                if (Volatile.Read(ref _sleeping) > 0)
                    Wake();
                region.Work(fromFront: true);
                region.Wait(Spin);
                Volatile.Write(ref _current, null);
                region.Throw();
                return true;
            }
            finally
            {
                Volatile.Write(ref _busy, 0);
            }
        }

        public bool TryHandOver(Action errand)
        {
            if (Volatile.Read(ref _watching) == 0 || Interlocked.CompareExchange(ref _errand, errand, null) is not null)
                return false;
            // A helper that stops watching looks once more: either it finds the errand or it is missing here.
            return Volatile.Read(ref _watching) > 0 || Interlocked.CompareExchange(ref _errand, null, errand) != errand;
        }

        public void Stop()
        {
            _stopped = true;
            Wake();
        }

        private void Wake()
        {
            lock (_gate)
                Monitor.PulseAll(_gate);
        }

        /// <summary>On first use: most of the workers that tests and tools make never have enough work.</summary>
        private void Start()
        {
            if (_started)
                return;
            for (var i = 0; i < helpers; i++)
                new Thread(Help) { IsBackground = true, Name = "compute" }.Start();
            _started = true;
        }

        private void Help()
        {
            Region? last = null;
            while (!_stopped)
            {
                var region = Await(last);
                if (region is null)
                    continue;
                region.Work(fromFront: false);
                last = region;
            }
        }

        /// <summary>Another region than the last one, or null after a sleep.</summary>
        private Region? Await(Region? last)
        {
            if (Watch(last) is { } region)
                return region;
            lock (_gate)
            {
                Interlocked.Increment(ref _sleeping);
                if ((Volatile.Read(ref _current) is not { } late || late == last) && !_stopped)
                    Monitor.Wait(_gate);
                Interlocked.Decrement(ref _sleeping);
            }
            return null;
        }

        /// <summary>Spins until there is another region than the last one; null after some time.</summary>
        private Region? Watch(Region? last)
        {
            Interlocked.Increment(ref _watching);
            var until = Stopwatch.GetTimestamp() + Spin;
            Region? found = null;
            for (var round = 1; found is null && Stopwatch.GetTimestamp() < until; round++)
            {
                RunErrand();
                if (Volatile.Read(ref _current) is { } region && region != last)
                    found = region;
                else
                    Pause(round);
            }
            Interlocked.Decrement(ref _watching);
            RunErrand();
            return found;
        }

        private void RunErrand()
        {
            if (Volatile.Read(ref _errand) is not null)
                Interlocked.Exchange(ref _errand, null)?.Invoke();
        }

        /// <summary>Waits a little; now and then lets another thread have the processor.</summary>
        private static void Pause(int round)
        {
            if (round % 64 == 0)
                Thread.Yield();
            else
                Thread.SpinWait(4);
        }

        private sealed class Region(int count, Action<int> body)
        {
            private readonly object _ended = new();
            private readonly int _tasks = count;
            private int _taken, _front;
            private int _back = count;
            private int _left = count;
            private int _waiting;
            private Exception? _error;

            /// <param name="fromFront">One thread only: the caller's.</param>
            public void Work(bool fromFront)
            {
                var done = 0;
                // Who may take one takes the next from its side: the two cannot meet.
                for (; Interlocked.Increment(ref _taken) <= _tasks; done++)
                {
                    var task = fromFront ? _front++ : Interlocked.Decrement(ref _back);
                    try
                    {
                        body(task);
                    }
                    catch (Exception error)
                    {
                        Interlocked.CompareExchange(ref _error, error, null);
                    }
                }
                if (done > 0 && Interlocked.Add(ref _left, -done) == 0 && Volatile.Read(ref _waiting) != 0)
                {
                    lock (_ended)
                        Monitor.PulseAll(_ended);
                }
            }

            /// <summary>Waits for tasks that helpers have taken: spinning first, since they began when this thread did.</summary>
            public void Wait(long spin)
            {
                var until = Stopwatch.GetTimestamp() + spin;
                for (var round = 1; Volatile.Read(ref _left) != 0; round++)
                {
                    if (Stopwatch.GetTimestamp() >= until)
                    {
                        Sleep();
                        return;
                    }
                    Pause(round);
                }
            }

            public void Throw()
            {
                if (_error is not null)
                    ExceptionDispatchInfo.Throw(_error);
            }

            private void Sleep()
            {
                lock (_ended)
                {
                    Interlocked.Exchange(ref _waiting, 1);
                    while (Volatile.Read(ref _left) != 0)
                        Monitor.Wait(_ended);
                }
            }
        }
    }
}
