using System.Diagnostics;
using System.Globalization;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;

namespace Moebius.Bench.KvCache;

/// <summary>
/// The index in process, one thread, against <see cref="RadixBaseline{TPage}"/> on the same prompts: 4,000 prompts of
/// 128 blocks, of which the first 64 are one of 8 system prompts; about 256,000 blocks in the end. All is shared, so
/// that both trees have the same shape.
/// </summary>
internal static class IndexBench
{
    private const int BlockTokens = 16;
    private const int Systems = 8;
    private const int SharedBlocks = 64;
    private const int PromptBlocks = 128;
    private const int Prompts = 4000;
    private const int Repeats = 9;
    private const int WarmUps = 3;
    private const double Bar = 10;

    public static void Run()
    {
        var prompts = MakePrompts();
        var ours = new List<Times>();
        var keyed = new List<Times>();
        var paged = new List<Times>();
        var single = new List<Times>();
        for (var repeat = -WarmUps; repeat < Repeats; repeat++)
        {
            var keyTimes = Measure(() => IndexByKeys(prompts));
            var times = (Measure(() => Index(prompts)), Measure(() => Baseline(prompts, BlockTokens, Page.Copy)), Measure(() => Baseline(prompts, 1, static page => page[0])));
            if (repeat < 0)
                continue;
            keyed.Add(keyTimes);
            ours.Add(times.Item1);
            paged.Add(times.Item2);
            single.Add(times.Item3);
        }

        Report.Title(
            $"Index insert and match ({Repeats} repeats; {Prompts} prompts of {PromptBlocks} blocks of {BlockTokens} tokens, first {SharedBlocks} shared by {Prompts / Systems})",
            "operation", "index, us", "RadixCache in dictionaries, 16-token pages, us", "RadixCache in dictionaries, 1-token pages, us", "index faster by (16-token pages)", "index faster by (1-token pages)", "bar", "16-token pages");
        Show("insert", ours, static times => times.Insert);
        Show("match, hold and release", ours, static times => times.Match);
        Show("insert and match", ours, static times => times.Insert + times.Match);
        Show("insert, keys at hand", keyed, static times => times.Insert);
        Show("match, hold and release, keys at hand", keyed, static times => times.Match);
        Show("insert and match, keys made once", keyed, static times => times.Keys + times.Insert + times.Match);

        void Show(string name, List<Times> index, Func<Times, double> of)
        {
            var ratio = Spread.Of(index.Zip(paged, (own, other) => of(other) / of(own)));
            Report.Row(
                name,
                Spread.Of(index.Select(of)).Text("F2"),
                Spread.Of(paged.Select(of)).Text("F2"),
                Spread.Of(single.Select(of)).Text("F2"),
                ratio.Text("F2", "x"),
                Spread.Of(index.Zip(single, (own, other) => of(other) / of(own))).Text("F2", "x"),
                string.Create(CultureInfo.InvariantCulture, $">= {Bar}x"),
                Report.AtLeast(ratio.Median, Bar));
        }
    }

    private static Times Measure(Func<Times> run)
    {
        // What the last tree left behind is not this one's cost.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return run();
    }

    private static Times Index(uint[][] prompts)
    {
        var slots = new SlotTable((Systems * SharedBlocks) + (Prompts * (PromptBlocks - SharedBlocks)), static (_, _) => { });
        var index = new PrefixIndex(slots, static () => Environment.TickCount64);
        var root = index.Root(new ModelKey("model", BlockTokens, 1));
        var begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            // What the engine has looked up before it commits: the shared part, but for the first of each system prompt.
            var known = prompt < Systems ? 0 : SharedBlocks;
            var tenant = new TenantKey((ulong)prompt, 1);
            var reserved = index.Reserve(tenant, PromptBlocks - known, int.MaxValue);
            var taken = new int[reserved.Count];
            for (var slot = 0; slot < taken.Length; slot++)
                taken[slot] = reserved[slot].Index;
            var inserted = index.Insert(root, tenant, prompts[prompt], known, taken, int.MaxValue, View.Shared, PublicReason.SharedByMode, tenant);
            Expect(inserted.CachedBlocks, PromptBlocks);
        }

        var insert = Microseconds(begun);
        begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            var found = index.Lookup(root, new TenantKey((ulong)prompt, 2), prompts[prompt], View.Shared);
            Expect(found.Blocks, PromptBlocks);
            found.Lease.Release();
        }

        return new Times(insert, Microseconds(begun));
    }

    /// <summary>As a caller that makes a prompt's keys once, for all that it does with the prompt.</summary>
    private static Times IndexByKeys(uint[][] prompts)
    {
        var slots = new SlotTable((Systems * SharedBlocks) + (Prompts * (PromptBlocks - SharedBlocks)), static (_, _) => { });
        var index = new PrefixIndex(slots, static () => Environment.TickCount64);
        var root = index.Root(new ModelKey("model", BlockTokens, 1));
        var keys = new BlockKey[prompts.Length][];
        var begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
            keys[prompt] = root.Keys(prompts[prompt]);
        var making = Microseconds(begun);
        begun = Stopwatch.GetTimestamp();
        Span<int> taken = stackalloc int[PromptBlocks];
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            var known = prompt < Systems ? 0 : SharedBlocks;
            var tenant = new TenantKey((ulong)prompt, 1);
            var reserved = index.Reserve(tenant, PromptBlocks - known, int.MaxValue);
            for (var slot = 0; slot < reserved.Count; slot++)
                taken[slot] = reserved[slot].Index;
            Expect(index.Insert(root, tenant, keys[prompt], known, taken[..reserved.Count], int.MaxValue, View.Shared, PublicReason.SharedByMode, tenant).CachedBlocks, PromptBlocks);
        }

        var insert = Microseconds(begun);
        begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            var found = index.Lookup(root, new TenantKey((ulong)prompt, 2), keys[prompt], View.Shared);
            Expect(found.Blocks, PromptBlocks);
            found.Lease.Release();
        }

        return new Times(insert, Microseconds(begun), making);
    }

    private static Times Baseline<TPage>(uint[][] prompts, int page, Func<ArraySegment<uint>, TPage> pageOf)
        where TPage : notnull
    {
        var cache = new RadixBaseline<TPage>(page, pageOf);
        // A request's row: the indices that it was given for the shared part, then the next free ones.
        var rows = new int[Systems][];
        var free = 0;
        var begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            var known = prompt < Systems ? 0 : SharedBlocks * BlockTokens;
            var row = new int[PromptBlocks * BlockTokens];
            if (known > 0)
                Array.Copy(rows[prompt % Systems], row, known);
            else
                rows[prompt] = row;
            for (var token = known; token < row.Length; token++)
                row[token] = free++;
            Expect(cache.Insert(prompts[prompt], row) >= known ? 1 : 0, 1);
        }

        var insert = Microseconds(begun);
        begun = Stopwatch.GetTimestamp();
        foreach (var prompt in prompts)
        {
            var (indices, last) = cache.Match(prompt);
            Expect(indices.Length, prompt.Length);
            cache.Release(last);
        }

        return new Times(insert, Microseconds(begun));
    }

    private static uint[][] MakePrompts()
    {
        var random = new Random(20);
        var systems = Enumerable.Range(0, Systems).Select(_ => Tokens(random, SharedBlocks)).ToArray();
        return [.. Enumerable.Range(0, Prompts).Select(prompt => (uint[])[.. systems[prompt % Systems], .. Tokens(random, PromptBlocks - SharedBlocks)])];
    }

    private static uint[] Tokens(Random random, int blocks) =>
        [.. Enumerable.Range(0, blocks * BlockTokens).Select(_ => (uint)random.Next(150_000))];

    private static double Microseconds(long begun) => Stopwatch.GetElapsedTime(begun).TotalMicroseconds / Prompts;

    private static void Expect(int actual, int expected)
    {
        if (actual != expected)
            throw new InvalidOperationException($"the benchmark measures something else: {actual} instead of {expected}");
    }

    /// <summary>Microseconds for one prompt.</summary>
    private readonly record struct Times(double Insert, double Match, double Keys = 0);
}
