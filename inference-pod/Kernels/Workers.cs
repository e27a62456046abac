namespace Moebius.Inference.Kernels;

/// <summary>
/// Runs independent tasks on a fixed number of threads. Small work stays on the caller's thread: waking another one
/// costs more than it saves. Threads block between steps instead of spinning, so that other processes on the same
/// cores are not starved.
/// </summary>
internal sealed class Workers
{
    /// <summary>Multiply-adds below which a second thread does not pay.</summary>
    private const long WorkPerThread = 200_000;

    private readonly ParallelOptions _options;

    public Workers(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _options = new ParallelOptions { MaxDegreeOfParallelism = threads };
    }

    public int Threads { get; }

    /// <summary>Whether work of this many multiply-adds is worth splitting.</summary>
    public bool Pays(long work) => Threads > 1 && work >= 2 * WorkPerThread;

    /// <summary>Runs <paramref name="body"/> for 0..tasks-1, in any order.</summary>
    public void Run(int tasks, long work, Action<int> body)
    {
        if (tasks > 1 && Pays(work))
        {
            Parallel.For(0, tasks, _options, body);
            return;
        }
        for (int i = 0; i < tasks; i++)
            body(i);
    }

    /// <summary>Splits [0, count) into ranges that are multiples of <paramref name="grain"/> and runs them.</summary>
    public void RunRanges(int count, int grain, long work, Action<int, int> body)
    {
        int tasks = Pays(work) ? Math.Min(Threads * 4, (count + grain - 1) / grain) : 1;
        if (tasks <= 1)
        {
            body(0, count);
            return;
        }
        int step = ((count + tasks - 1) / tasks + grain - 1) / grain * grain;
        Parallel.For(0, (count + step - 1) / step, _options, i => body(i * step, Math.Min(count, (i + 1) * step)));
    }
}
