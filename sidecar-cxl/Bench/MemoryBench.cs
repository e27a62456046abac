using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moebius.Cxl.Bench;

/// <summary>
/// Reads and writes cache lines at random in chosen proportions and counts what gets through. On a machine with CXL
/// memory it draws the curves of CXLAimPod; on any other it shows that machine's memory.
/// </summary>
internal sealed unsafe class MemoryBench : IDisposable
{
    private const int LineBytes = 64;
    private const int Batch = 64;

    private readonly BenchOptions _options;
    private readonly List<BenchMemory> _memory = [];

    /// <summary>Allocates the memory.</summary>
    /// <exception cref="Moebius.Crds.UserInputException">The kernel refuses what was asked for.</exception>
    public MemoryBench(BenchOptions options)
    {
        _options = options;
        try
        {
            for (var i = 0; i < options.Threads; i++)
                _memory.Add(new BenchMemory(options.BytesPerThread, options));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Measures every share of reads in turn.</summary>
    public IEnumerable<BenchPoint> Run(CancellationToken cancellation)
    {
        foreach (var share in _options.ReadShares)
        {
            var repeats = new double[_options.Repeats];
            for (var i = 0; i < repeats.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                repeats[i] = Measure(share, cancellation);
            }

            Array.Sort(repeats);
            yield return new BenchPoint(share, repeats[repeats.Length / 2], repeats[0], repeats[^1]);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var block in _memory)
            block.Dispose();
        _memory.Clear();
    }

    private double Measure(double share, CancellationToken cancellation)
    {
        var stop = new StopFlag();
        var lines = new long[_options.Threads];
        using var start = new Barrier(_options.Threads + 1);
        Thread[] threads = [.. Enumerable.Range(0, _options.Threads).Select(index => new Thread(() =>
        {
            start.SignalAndWait();
            lines[index] = Access(_memory[index].Start, share, (ulong)index + 1, stop);
        }))];
        foreach (var thread in threads)
            thread.Start();
        start.SignalAndWait(CancellationToken.None);
        var clock = Stopwatch.StartNew();
        try
        {
            cancellation.WaitHandle.WaitOne(_options.Duration);
        }
        finally
        {
            // Whatever happens: the memory that they touch goes with this object.
            stop.Value = true;
            foreach (var thread in threads)
                thread.Join();
        }

        cancellation.ThrowIfCancellationRequested();
        return lines.Sum() * (double)LineBytes / clock.Elapsed.TotalSeconds / (1L << 30);
    }

    /// <summary>Touches random lines until told to stop; the count of lines is returned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private long Access(byte* start, double share, ulong seed, StopFlag stop)
    {
        var mask = (ulong)(_options.BytesPerThread / LineBytes) - 1;
        var state = seed * 0x9E3779B97F4A7C15;
        var sum = Vector256<byte>.Zero;
        var value = Vector256.Create((byte)seed);
        var (credit, total) = (0.0, 0L);
        // A batch at least: on a busy machine a thread may not run before the time is over.
        do
        {
            // The fraction of a line that a batch cannot have is carried over.
            credit += share * Batch;
            var reads = (int)credit;
            credit -= reads;
            for (var i = 0; i < Batch; i++)
            {
                // xorshift: cheap and without a pattern that a prefetcher could follow.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                var line = start + (state & mask) * LineBytes;
                if (i < reads)
                {
                    sum = Vector256.Xor(sum, Vector256.Xor(Vector256.LoadAligned(line), Vector256.LoadAligned(line + 32)));
                }
                else if (_options.NonTemporal)
                {
                    value.StoreAlignedNonTemporal(line);
                    value.StoreAlignedNonTemporal(line + 32);
                }
                else
                {
                    value.StoreAligned(line);
                    value.StoreAligned(line + 32);
                }
            }

            total += Batch;
        }
        while (!stop.Value);

        // Keeps the reads from being optimised away.
        return sum == Vector256.Create((byte)0xA5) ? total + 1 : total;
    }

    private sealed class StopFlag
    {
        public volatile bool Value;
    }
}
