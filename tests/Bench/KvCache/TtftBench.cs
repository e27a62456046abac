using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Moebius.Bench.KvCache;

/// <summary>
/// Chats on the demonstration model through real processes, one server and one sidecar for each mode. Time to first
/// token: one request at a time, each turn sent to all modes one after the other in changing order, so that what
/// disturbs the machine disturbs all, and each pair of answers can be compared. Throughput: one mode at a time, several
/// clients. Each repeat has system prompts that the servers have not seen.
/// </summary>
internal static class TtftBench
{
    private const int Repeats = 8;
    private const int Turns = 24;
    private const int LoadTurns = 24;
    private const int SystemsOfRepeat = 3;
    private const int LoadClients = 4;
    private const int OutputTokens = 8;
    private const int SafeKV = 0;
    private const int Isolate = 1;
    private const int Share = 2;
    private static readonly string[] Modes = ["SafeKV", "Isolate", "Share"];
    private static readonly int[][] Orders = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1], [2, 0, 1], [1, 0, 2]];

    public static async Task RunAsync()
    {
        var prose = await File.ReadAllTextAsync(Path.Combine(RepositoryFiles.Root, "tests", "KvCache.Tests", "Data", "austen.txt"));
        var results = await MeasureAsync(new ChatTrace(prose, 1, Repeats * SystemsOfRepeat));

        var prompt = results.SelectMany(static modes => modes[SafeKV].Answers).Average(static answer => answer.PromptTokens);
        Report.Title(
            $"Chats on the demonstration model ({Repeats} repeats; {ChatTrace.Tenants} tenants, Zipf {ChatTrace.Exponent:F1}, 2 system prompts at a time, prompts of {prompt:F0} tokens on average)",
            "mode", "TTFT mean, ms", "TTFT p50, ms", "TTFT p90, ms", "prompt tokens from the cache", $"requests/s, {LoadClients} clients", "prompt tokens from the cache then");
        for (var mode = 0; mode < Modes.Length; mode++)
        {
            Report.Row(
                Modes[mode],
                Over(modes => modes[mode].Mean).Text("F1"),
                Over(modes => modes[mode].At(0.5)).Text("F1"),
                Over(modes => modes[mode].At(0.9)).Text("F1"),
                Over(modes => 100 * modes[mode].Cached).Text("F0", "%"),
                Over(modes => modes[mode].Throughput).Text("F2"),
                Over(modes => 100 * modes[mode].LoadCached).Text("F0", "%"));
        }

        BarChart.Save("kvcache-ttft.svg", "Mean time to the first token, ms", [.. Modes.Select((name, mode) => (name, Over(modes => modes[mode].Mean).Median))]);
        Report.Title("Ratios of the chats", "figure", "ratio", "bar", "");
        var gain = Over(static modes => modes[SafeKV].Mean / modes[Isolate].Mean);
        Report.Row("TTFT mean, SafeKV / Isolate", gain.Text("F3", "x"), "<= 0.60x", Report.AtMost(gain.Median, 0.60));
        Report.Row("TTFT p50, SafeKV / Isolate", Over(static modes => modes[SafeKV].At(0.5) / modes[Isolate].At(0.5)).Text("F3", "x"), "", "");
        var overhead = Over(static modes => 100 * ((modes[SafeKV].Mean / modes[Share].Mean) - 1));
        Report.Row("TTFT mean, SafeKV over Share", overhead.Text("F1", "%"), "<= 5%", Report.AtMost(overhead.Median, 5));
        double[] pairs = [.. results.SelectMany(static modes => modes[SafeKV].Answers.Zip(modes[Share].Answers, static (mine, other) => 100 * ((mine.FirstToken / other.FirstToken) - 1))).Order()];
        Report.Row("TTFT of one turn, SafeKV over Share, over all pairs", Spread.Of(pairs).Text("F1", "%"), "", "");
        var (low, high) = MedianInterval(pairs);
        Report.Row(
            $"median of these {pairs.Length} pairs, with its 95% interval",
            string.Create(CultureInfo.InvariantCulture, $"{Spread.Quantile(pairs, 0.5):F1}% [{low:F1}, {high:F1}]"), "<= 5%", Report.AtMost(Spread.Quantile(pairs, 0.5), 5));
        Report.Row("TTFT p50, SafeKV over Share", Over(static modes => 100 * ((modes[SafeKV].At(0.5) / modes[Share].At(0.5)) - 1)).Text("F1", "%"), "", "");
        var throughput = Over(static modes => modes[SafeKV].Throughput / modes[Isolate].Throughput);
        Report.Row("throughput, SafeKV / Isolate", throughput.Text("F2", "x"), "aim 2.66x", Report.AtLeast(throughput.Median, 2.66));
        var prefills = Over(static modes => (1 - modes[Isolate].LoadCached) / (1 - modes[SafeKV].LoadCached));
        Report.Row("tokens computed for prompts in it, Isolate / SafeKV", prefills.Text("F2", "x"), "", "");
        Report.Row("throughput, SafeKV / Share", Over(static modes => modes[SafeKV].Throughput / modes[Share].Throughput).Text("F2", "x"), "", "");
        Report.Line("");
        Report.Line($"Greedy answers that are the same in all modes: {results.Sum(Same)} of {Repeats * Turns}.");

        Spread Over(Func<Result[], double> of) => Spread.Of(results.Select(of));
    }

    /// <summary>The interval in which the median lies with a probability of 95%, whatever the distribution: by ranks.</summary>
    private static (double Low, double High) MedianInterval(double[] sorted)
    {
        var reach = 0.98 * Math.Sqrt(sorted.Length);
        var (low, high) = ((int)Math.Floor((sorted.Length / 2.0) - reach), (int)Math.Ceiling((sorted.Length / 2.0) + reach));
        return (sorted[Math.Max(0, low)], sorted[Math.Min(sorted.Length - 1, high)]);
    }

    private static int Same(Result[] modes) =>
        modes[SafeKV].Answers.Where((answer, turn) => answer.Text == modes[Isolate].Answers[turn].Text && answer.Text == modes[Share].Answers[turn].Text).Count();

    private static async Task<List<Result[]>> MeasureAsync(ChatTrace trace)
    {
        var servers = new ChatMode[Modes.Length];
        var results = new List<Result[]>();
        try
        {
            for (var mode = 0; mode < Modes.Length; mode++)
                servers[mode] = await ChatMode.StartAsync(Modes[mode], trace.Systems);
            await WarmUpAsync(servers);
            for (var repeat = 0; repeat < Repeats; repeat++)
            {
                var begun = Stopwatch.GetTimestamp();
                results.Add(await RepeatAsync(servers, trace, repeat));
                await Console.Error.WriteLineAsync($"ttft: repeat {repeat + 1} of {Repeats} took {Stopwatch.GetElapsedTime(begun).TotalSeconds:F0} s");
            }

            return results;
        }
        finally
        {
            foreach (var server in servers)
            {
                if (server is not null)
                    await server.DisposeAsync();
            }
        }
    }

    private static async Task<Result[]> RepeatAsync(ChatMode[] servers, ChatTrace trace, int repeat)
    {
        var results = Modes.Select(static _ => new Result()).ToArray();
        var systems = repeat * SystemsOfRepeat;
        var turns = trace.Take(Turns, systems, systems + 1);
        for (var turn = 0; turn < turns.Count; turn++)
        {
            foreach (var mode in Orders[(turn + repeat) % Orders.Length])
                results[mode].Answers.Add(await servers[mode].AskAsync(turns[turn], OutputTokens));
        }

        var load = trace.Take(LoadTurns, systems + 2);
        foreach (var mode in Orders[repeat % Orders.Length])
            await LoadAsync(servers[mode], load, results[mode]);
        return results;
    }

    /// <summary>Compiles the servers' code: prompts that no measured request shares, misses and hits of all lengths.</summary>
    private static async Task WarmUpAsync(ChatMode[] servers)
    {
        for (var round = 0; round < 3; round++)
        {
            var text = string.Concat(Enumerable.Range(0, 60 * (1 + round)).Select(word => $"{(char)('a' + round)} word of no meaning {word} "))[..(1200 * (1 + round))];
            foreach (var server in servers)
            {
                await server.SendAsync("warm-up", [("user", text)], OutputTokens);
                await server.SendAsync("warm-up", [("user", text), ("user", "again")], OutputTokens);
            }
        }
    }

    /// <summary>Measures requests per second. The turns of one chat keep their order.</summary>
    private static async Task LoadAsync(ChatMode server, IReadOnlyList<Turn> turns, Result result)
    {
        var answers = new ConcurrentBag<Answer>();
        var waiting = new ConcurrentQueue<Turn>(turns);
        var last = new ConcurrentDictionary<int, Task<Answer>>();
        var begun = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, LoadClients).Select(async _ =>
        {
            while (waiting.TryDequeue(out var turn))
            {
                if (last.TryGetValue(turn.Chat, out var earlier))
                    await earlier;
                answers.Add(await (last[turn.Chat] = server.AskAsync(turn, OutputTokens)));
            }
        }));
        result.Throughput = turns.Count / Stopwatch.GetElapsedTime(begun).TotalSeconds;
        result.LoadCached = CachedShare(answers);
    }

    private static double CachedShare(IReadOnlyCollection<Answer> answers) =>
        (double)answers.Sum(static answer => answer.CachedTokens) / answers.Sum(static answer => answer.PromptTokens);

    private sealed class Result
    {
        public List<Answer> Answers { get; } = [];

        public double Throughput { get; set; }

        public double Mean => Answers.Average(static answer => answer.FirstToken);

        public double Cached => CachedShare(Answers);

        /// <summary>Share of the prompts' tokens that came from the cache while the throughput was measured.</summary>
        public double LoadCached { get; set; }

        public double At(double share) => Spread.Quantile([.. Answers.Select(static answer => answer.FirstToken).Order()], share);
    }
}
