using System.Collections.Concurrent;
using Moebius.Inference.Experts;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Experts;

public class TransferLinkTests
{
    private const int Layers = 4, Experts = 12, ExpertBytes = 4096;

    /// <summary>Random layers, plans and failures on several threads: who uses an expert finds that expert's bytes.</summary>
    [Theory]
    [InlineData(2, 1, 1)]
    [InlineData(3, 3, 2)]
    [InlineData(20, 4, 3)]
    [InlineData(48, 2, 4)]
    public void Every_use_gets_its_own_weights_while_loads_fail_and_are_slow(int slots, int readers, int seed)
    {
        var source = new UnreliableSource(seed);
        var random = new Random(seed);
        using var buffers = new ExpertBuffers(slots, ExpertBytes);
        var scheduler = new ExpertScheduler(new ExpertCache(slots));
        using var link = new TransferLink(scheduler, source, buffers, readers);
        for (var pass = 0; pass < 400; pass++)
        {
            var layer = pass % Layers;
            ExpertKey[] keys = [.. Enumerable.Range(0, Experts).OrderBy(_ => random.Next()).Take(1 + random.Next(5)).Select(e => new ExpertKey(layer, e))];
            var outstanding = keys.ToHashSet();
            var handed = new List<ArrivedExpert>();
            link.Use(keys, handed);
            link.Plan([.. Enumerable.Range(0, random.Next(8)).Select(_ => new PrefetchRequest(new((layer + 1) % Layers, random.Next(Experts)), 1))]);
            try
            {
                while (true)
                {
                    foreach (var (key, slot) in handed)
                    {
                        Assert.True(outstanding.Remove(key));
                        Assert.True(source.Holds(key, buffers.Span(slot)), $"{key} is not in its buffer");
                    }
                    link.Release(handed);
                    handed.Clear();
                    if (outstanding.Count == 0)
                        break;
                    link.WaitForArrivals(handed);
                }
            }
            catch (IOException)
            {
                link.Abandon(outstanding);
            }
            Assert.InRange(link.Read((s, _, _) => s.Cache.Count), 0, slots);
        }
        Assert.True(source.Failures > 0);
        Assert.Equal(0, source.Overlaps);
        link.Dispose();
        Assert.Equal(source.Reads.Values.Sum() * (long)ExpertBytes, link.Read((_, _, bytes) => bytes));
    }

    [Fact]
    public async Task The_end_waits_for_loads_on_their_way_and_begins_no_other()
    {
        using var both = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        int begun = 0, ended = 0;
        using var buffers = new ExpertBuffers(8, ExpertBytes);
        var link = new TransferLink(new ExpertScheduler(new ExpertCache(8)), new Source(_ =>
        {
            if (Interlocked.Increment(ref begun) == 2)
                both.Set();
            go.Wait(Eventually.Limit);
            Interlocked.Increment(ref ended);
        }), buffers, 2);
        link.Plan([.. Enumerable.Range(0, 6).Select(e => new PrefetchRequest(new(1, e), 1))]);
        Assert.True(both.Wait(Eventually.Limit));
        var end = new Thread(link.Dispose);
        end.Start();
        // It waits for the readers: from here on nothing more may begin.
        await Eventually.TrueAsync(() => (end.ThreadState & ThreadState.WaitSleepJoin) != 0);
        go.Set();
        Assert.True(end.Join(Eventually.Limit));
        Assert.Equal((2, 2), (begun, ended));
    }

    [Fact]
    public void A_demand_overtakes_what_is_planned_and_compute_reads_it_itself_when_all_readers_are_busy()
    {
        using var begun = new CountdownEvent(1);
        using var go = new ManualResetEventSlim();
        var order = new ConcurrentQueue<ExpertKey>();
        using var buffers = new ExpertBuffers(8, ExpertBytes);
        using var link = new TransferLink(new ExpertScheduler(new ExpertCache(8)), new Source(key =>
        {
            order.Enqueue(key);
            if (key.Layer != 1)
                return;
            begun.Signal();
            go.Wait(Eventually.Limit);
        }), buffers, 1);
        link.Plan([new PrefetchRequest(new(1, 0), 1), new PrefetchRequest(new(2, 0), 1)]);
        Assert.True(begun.Wait(Eventually.Limit));
        var arrived = new List<ArrivedExpert>();
        Assert.Equal(1, link.Use([new ExpertKey(0, 5)], arrived));
        link.WaitForArrivals(arrived);
        Assert.Equal(new ExpertKey(0, 5), Assert.Single(arrived).Key);
        Assert.Equal([new ExpertKey(1, 0), new ExpertKey(0, 5)], order);
        link.Release(arrived);
        go.Set();
    }

    [Fact]
    public void What_is_not_urgent_is_done_while_compute_waits_and_ends_with_the_arrival()
    {
        using var begun = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        using var buffers = new ExpertBuffers(4, ExpertBytes);
        using var link = new TransferLink(new ExpertScheduler(new ExpertCache(4)), new Source(_ =>
        {
            begun.Set();
            go.Wait(Eventually.Limit);
        }), buffers, 1);
        var arrived = new List<ArrivedExpert>();
        var done = 0;
        link.Use([new ExpertKey(0, 1)], arrived);
        Assert.True(begun.Wait(Eventually.Limit));
        link.WaitForArrivals(arrived, () =>
        {
            if (++done == 3)
                go.Set();
            return true;
        });
        Assert.Equal(new ExpertKey(0, 1), Assert.Single(arrived).Key);
        Assert.InRange(done, 3, int.MaxValue);
        link.Release(arrived);
    }

    [Fact]
    public async Task What_arrived_for_a_layer_that_gave_up_is_neither_kept_nor_given_to_the_next()
    {
        using var buffers = new ExpertBuffers(1, ExpertBytes);
        using var link = new TransferLink(new ExpertScheduler(new ExpertCache(1)), new Source(_ => { }), buffers, 1);
        var arrived = new List<ArrivedExpert>();
        Assert.Equal(1, link.Use([new ExpertKey(0, 5)], arrived));
        await Eventually.TrueAsync(() => link.Read((_, _, bytes) => bytes) > 0);
        link.Abandon([new ExpertKey(0, 5)]);
        Assert.Equal(1, link.Use([new ExpertKey(1, 3)], arrived));
        await Eventually.EndsAsync(Task.Run(() => link.WaitForArrivals(arrived)));
        Assert.Equal(new ExpertKey(1, 3), Assert.Single(arrived).Key);
        link.Release(arrived);
    }

    [Fact]
    public void Filling_reports_the_first_failure()
    {
        using var buffers = new ExpertBuffers(6, ExpertBytes);
        using var link = new TransferLink(new ExpertScheduler(new ExpertCache(6)), new Source(key =>
        {
            if (key.Expert == 3)
                throw new IOException("expert 3");
        }), buffers, 2);
        Assert.Equal("expert 3", Assert.Throws<IOException>(() => link.Fill([.. Enumerable.Range(0, 6).Select(e => new ExpertKey(0, e))], null)).Message);
    }

    [Fact]
    public void The_meter_counts_shared_time_once_and_idle_time_not_at_all()
    {
        var meter = new TransferMeter();
        meter.Begin(0);
        meter.Begin(0);
        meter.End(0, 0.010, 1000);
        meter.End(0, 0.020, 1000);
        meter.Begin(5);
        meter.End(5, 5.010, 1000);
        Assert.Equal(100_000, meter.BytesPerSecond, 1);
        Assert.Equal(0.010, meter.SecondsPerTransfer, 6);
        Assert.Equal(0.010 + 0.2 * 0.010 * 0.8, meter.LatencySeconds, 6);
        meter.Begin(6);
        meter.End(6, 7, 0);
        Assert.Equal(100_000, meter.BytesPerSecond, 1);
    }

    private sealed class Source(Action<ExpertKey> read) : IExpertSource
    {
        public string Description => "test";

        public long Read(ExpertKey key, Span<byte> buffer)
        {
            read(key);
            return buffer.Length;
        }

        public void Dispose()
        {
        }
    }

    /// <summary>Writes an expert's own pattern slowly, sometimes fails, and notices two writers of one buffer.</summary>
    private sealed unsafe class UnreliableSource(int seed) : IExpertSource
    {
        private readonly ConcurrentDictionary<nint, bool> _writing = new();
        private int _calls = seed, _failures;

        public ConcurrentDictionary<ExpertKey, int> Reads { get; } = new();

        public int Overlaps { get; private set; }

        public int Failures => _failures;

        public string Description => "test";

        public bool Holds(ExpertKey key, ReadOnlySpan<byte> buffer) => buffer.IndexOfAnyExcept(Pattern(key)) < 0;

        public long Read(ExpertKey key, Span<byte> buffer)
        {
            var call = Interlocked.Increment(ref _calls);
            var address = (nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref buffer[0]);
            if (!_writing.TryAdd(address, true))
                Overlaps++;
            try
            {
                buffer[..(buffer.Length / 2)].Fill(Pattern(key));
                if (call % 3 == 0)
                    Thread.Yield();
                if (call % 11 == 0)
                {
                    Interlocked.Increment(ref _failures);
                    throw new IOException($"{key} cannot be read");
                }

                buffer[(buffer.Length / 2)..].Fill(Pattern(key));
                Reads.AddOrUpdate(key, 1, (_, n) => n + 1);
                return buffer.Length;
            }
            finally
            {
                _writing.TryRemove(address, out _);
            }
        }

        public void Dispose()
        {
        }

        private static byte Pattern(ExpertKey key) => (byte)(1 + key.Layer * Experts + key.Expert);
    }
}
