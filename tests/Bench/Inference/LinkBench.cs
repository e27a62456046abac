using System.Diagnostics;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Experts;
using Moebius.Inference.Prefetch;
using Moebius.Inference.Storage;

namespace Moebius.Bench.Inference;

/// <summary>
/// How long experts that compute demands take while two others are loaded ahead, beside the same with nothing ahead: real reads past
/// the page cache, of the size of the random model's experts.
/// </summary>
internal static class LinkBench
{
    private const int Repeats = 5, Times = 40, Readers = 3, Ahead = 2;

    public static void Run()
    {
        using var source = new RawExperts(Path.Combine(BenchModels.Large(), "experts-bf16.moebius"));
        Report.Title(
            $"Demanded experts of {RawExperts.Bytes / 1e6:F2} MB beside {Ahead} that are loaded ahead ({Repeats} repeats of {Times} times; us until the last demanded one is there)",
            "demanded at once", "nothing ahead", $"{Ahead} ahead", "ratio");
        foreach (var demanded in new[] { 1, 2, 4 })
        {
            var (alone, beside) = (new List<double>(), new List<double>());
            for (var repeat = 0; repeat < Repeats; repeat++)
            {
                // In turn forwards and backwards: what disturbs the machine disturbs both.
                foreach (var ahead in repeat % 2 == 0 ? new[] { false, true } : [true, false])
                    (ahead ? beside : alone).Add(1e6 * Seconds(source, demanded, ahead ? Ahead : 0));
            }
            Report.Row($"{demanded}", Spread.Of(alone).Text("F0"), Spread.Of(beside).Text("F0"), Spread.Of(beside.Zip(alone, (a, b) => a / b)).Text("F2", "x"));
        }
    }

    /// <summary>Mean seconds until all that is demanded is there.</summary>
    private static double Seconds(RawExperts source, int demanded, int ahead)
    {
        const int Slots = 16;
        using var buffers = new ExpertBuffers(Slots, RawExperts.Bytes);
        using var link = new TransferLink(new ExpertScheduler(new ExpertCache(Slots), Ahead), source, buffers, Readers);
        var random = new Random(1);
        double seconds = 0;
        for (var i = 0; i < Times; i++)
        {
            link.Plan(Keys(i + 1, 3, ahead).Select(key => new PrefetchRequest(key, 1)).ToList());
            SpinWait.SpinUntil(() => link.Read((state, _, _) => state.Running) == ahead);
            // Somewhere in the loads ahead, which take some milliseconds.
            Thread.SpinWait(random.Next(1, 60_000));
            var arrived = new List<ArrivedExpert>();
            var begun = Stopwatch.GetTimestamp();
            for (var missing = link.Use(Keys(i, 0, demanded), arrived); arrived.Count < missing;)
                link.WaitForArrivals(arrived);
            seconds += Stopwatch.GetElapsedTime(begun).TotalSeconds;
            link.Release(arrived);
            SpinWait.SpinUntil(() => link.Read((state, _, _) => state.Running) == 0);
        }
        return seconds / Times;

        // None that was read a moment ago.
        List<ExpertKey> Keys(int turn, int from, int count) =>
            [.. Enumerable.Range(0, count).Select(at => new ExpertKey(turn % LargeModel.Layers, ((turn * 5) + from + (at * 16)) % LargeModel.Experts))];
    }

    /// <summary>Bytes of a file, as experts.</summary>
    private sealed class RawExperts(string path) : IExpertSource
    {
        public const int Bytes = LargeModel.Intermediate * LargeModel.Hidden * 3 * sizeof(ushort);

        private readonly StoredFile _file = StoredFile.Open(path, SlowTier.DirectIO);

        public string Description => _file.Access;

        public long Read(ExpertKey key, Span<byte> buffer)
        {
            _file.Read((((long)key.Layer * LargeModel.Experts) + key.Expert) * Bytes, buffer, $"{key}");
            return Bytes;
        }

        public void Dispose() => _file.Dispose();
    }
}
