using System.Diagnostics;
using System.Globalization;
using Moebius.KvCache.Arena;
using Moebius.KvCache.Index;

namespace Moebius.Bench.KvCache;

/// <summary>
/// The index in process, one thread, against <see cref="RadixBaseline{TPage}"/> on the same prompts: 4,000 prompts of
/// 128 blocks, of which the first 64 are one of 8 system prompts; about 256,000 blocks in the end, and a million with
/// 16,000 prompts. All is shared, so that both trees have the same shape.
/// </summary>
internal static class IndexBench
{
    private const int BlockTokens = 16;
    private const int Systems = 8;
    private const int SharedBlocks = 64;
    private const int PromptBlocks = 128;
    private const int Prompts = 4000;
    private const int ManyPrompts = 16_000;
    private const int Repeats = 9;
    private const int ManyRepeats = 3;
    private const int WarmUps = 3;
    private const double Bar = 10;

    public static void Run()
    {
        var prompts = MakePrompts(Prompts);
        var ours = new List<Times>();
        var keyed = new List<Times>();
        var parts = new List<Parts>();
        var paged = new List<Times>();
        var single = new List<Times>();
        for (var repeat = -WarmUps; repeat < Repeats; repeat++)
        {
            var keyTimes = Measure(() => IndexByKeys(prompts, out _));
            var partTimes = Measure(() => ByParts(prompts));
            var times = (Measure(() => Index(prompts)), Measure(() => Baseline(prompts, BlockTokens, Page.Copy, out _)), Measure(() => Baseline(prompts, 1, static page => page[0], out _)));
            if (repeat < 0)
                continue;
            keyed.Add(keyTimes);
            parts.Add(partTimes);
            ours.Add(times.Item1);
            paged.Add(times.Item2);
            single.Add(times.Item3);
        }

        Report.Title(
            $"Index insert and match ({Repeats} repeats; {Prompts} prompts of {PromptBlocks} blocks of {BlockTokens} tokens, first {SharedBlocks} shared by {Prompts / Systems})",
            "operation", "index, us", "RadixCache in dictionaries, 1-token pages, us", "RadixCache in dictionaries, 16-token pages, us", "index faster by (1-token pages)", "index faster by (16-token pages)", "bar", "1-token pages", "16-token pages");
        Show("insert", ours, static times => times.Insert);
        Show("match, hold and release", ours, static times => times.Match);
        Show("insert and match", ours, static times => times.Insert + times.Match);
        Show("insert, keys at hand", keyed, static times => times.Insert);
        Show("match, hold and release, keys at hand", keyed, static times => times.Match);
        Show("insert and match, keys made once", keyed, static times => times.Keys + times.Insert + times.Match);

        Report.Title("Parts of the index's work for one prompt (each done for all prompts before the next; microseconds)", "part", "us");
        Part("keys of 2,048 tokens", static times => times.Keys);
        Part("reserve slots", static times => times.Reserve);
        Part("insert, keys at hand", static times => times.Insert);
        Part("match and hold, keys at hand", static times => times.Match);
        Part("release", static times => times.Release);

        void Part(string name, Func<Parts, double> of) => Report.Row(name, Spread.Of(parts.Select(of)).Text("F2"));

        void Show(string name, List<Times> index, Func<Times, double> of)
        {
            var bySingle = Spread.Of(index.Zip(single, (own, other) => of(other) / of(own)));
            var byPage = Spread.Of(index.Zip(paged, (own, other) => of(other) / of(own)));
            Report.Row(
                name,
                Spread.Of(index.Select(of)).Text("F2"),
                Spread.Of(single.Select(of)).Text("F2"),
                Spread.Of(paged.Select(of)).Text("F2"),
                bySingle.Text("F2", "x"),
                byPage.Text("F2", "x"),
                string.Create(CultureInfo.InvariantCulture, $">= {Bar}x"),
                Report.AtLeast(bySingle.Median, Bar),
                Report.AtLeast(byPage.Median, Bar));
        }
    }

    /// <summary>The same with a million blocks, and what they take of the memory.</summary>
    public static void RunMillion()
    {
        var prompts = MakePrompts(ManyPrompts);
        var ours = new List<Times>();
        var paged = new List<Times>();
        var (ourBytes, pagedBytes) = (0L, 0L);
        for (var repeat = -1; repeat < ManyRepeats; repeat++)
        {
            var times = (Measure(() => IndexByKeys(prompts, out ourBytes)), Measure(() => Baseline(prompts, BlockTokens, Page.Copy, out pagedBytes)));
            if (repeat < 0)
                continue;
            ours.Add(times.Item1);
            paged.Add(times.Item2);
        }

        var blocks = (Systems * SharedBlocks) + (ManyPrompts * (PromptBlocks - SharedBlocks));
        Report.Title($"Index with {blocks:N0} blocks ({ManyRepeats} repeats; {ManyPrompts:N0} prompts as above)", "figure", "index", "RadixCache in dictionaries, 16-token pages", "ratio");
        Show("insert and match, keys made once, us for a prompt", static times => times.Keys + times.Insert + times.Match);
        Show("match, hold and release, keys at hand, us for a prompt", static times => times.Match);
        Report.Row("memory, MiB", Mebibytes(ourBytes), Mebibytes(pagedBytes), Ratio(pagedBytes, ourBytes));
        Report.Row("memory, bytes for a block", Number((double)ourBytes / blocks), Number((double)pagedBytes / blocks), "");

        void Show(string name, Func<Times, double> of) => Report.Row(
            name, Spread.Of(ours.Select(of)).Text("F2"), Spread.Of(paged.Select(of)).Text("F2"), Spread.Of(ours.Zip(paged, (own, other) => of(other) / of(own))).Text("F2", "x"));

        static string Mebibytes(long bytes) => Number((double)bytes / (1 << 20));

        static string Number(double value) => value.ToString("F0", CultureInfo.InvariantCulture);

        static string Ratio(long above, long below) => ((double)above / below).ToString("F1", CultureInfo.InvariantCulture) + "x";
    }

    private static T Measure<T>(Func<T> run)
    {
        // What the last tree left behind is not this one's cost.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return run();
    }

    private static (SlotTable Slots, PrefixIndex Index, IndexRoot Root) Create(int prompts)
    {
        var slots = new SlotTable((Systems * SharedBlocks) + (prompts * (PromptBlocks - SharedBlocks)), static (_, _) => { });
        var index = new PrefixIndex(slots, static () => Environment.TickCount64);
        return (slots, index, index.Root(new ModelKey("model", BlockTokens, 1)));
    }

    /// <summary>What the engine has looked up before it commits: the shared part, but for the first of each system prompt.</summary>
    private static int Known(int prompt) => prompt < Systems ? 0 : SharedBlocks;

    private static Times Index(uint[][] prompts)
    {
        var (_, index, root) = Create(prompts.Length);
        Span<int> taken = stackalloc int[PromptBlocks];
        Span<SlotRef> reserved = stackalloc SlotRef[PromptBlocks];
        Span<BlockKey> keys = stackalloc BlockKey[PromptBlocks];
        var found = new SlotRef[PromptBlocks];
        var begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            var tenant = new TenantKey((ulong)prompt, 1);
            var count = index.Reserve(tenant, reserved[..(PromptBlocks - Known(prompt))], int.MaxValue);
            for (var slot = 0; slot < count; slot++)
                taken[slot] = reserved[slot].Index;
            var inserted = index.Insert(
                root, tenant, root.Keys(prompts[prompt], keys), Known(prompt), taken[..count], int.MaxValue, View.Shared, PublicReason.SharedByMode, tenant);
            Expect(inserted.CachedBlocks, PromptBlocks);
        }

        var insert = Microseconds(begun, prompts);
        begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            var prefix = index.Lookup(root, new TenantKey((ulong)prompt, 2), root.Keys(prompts[prompt], keys), View.Shared, found);
            Expect(prefix.Blocks, PromptBlocks);
            prefix.Lease.Release();
        }

        return new Times(insert, Microseconds(begun, prompts));
    }

    /// <summary>As a caller that makes a prompt's keys once, for all that it does with the prompt.</summary>
    private static Times IndexByKeys(uint[][] prompts, out long bytes)
    {
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var (_, index, root) = Create(prompts.Length);
        // Memory that has been used before: a caller has a prompt's keys on its stack.
        var keys = new BlockKey[prompts.Length * PromptBlocks];
        Array.Fill(keys, new BlockKey(1, 1));
        var found = new SlotRef[PromptBlocks];
        var begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
            root.Keys(prompts[prompt], Keys(prompt));
        var making = Microseconds(begun, prompts);
        begun = Stopwatch.GetTimestamp();
        Span<int> taken = stackalloc int[PromptBlocks];
        Span<SlotRef> reserved = stackalloc SlotRef[PromptBlocks];
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            var tenant = new TenantKey((ulong)prompt, 1);
            var count = index.Reserve(tenant, reserved[..(PromptBlocks - Known(prompt))], int.MaxValue);
            for (var slot = 0; slot < count; slot++)
                taken[slot] = reserved[slot].Index;
            Expect(index.Insert(root, tenant, Keys(prompt), Known(prompt), taken[..count], int.MaxValue, View.Shared, PublicReason.SharedByMode, tenant).CachedBlocks, PromptBlocks);
        }

        var insert = Microseconds(begun, prompts);
        begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            var prefix = index.Lookup(root, new TenantKey((ulong)prompt, 2), Keys(prompt), View.Shared, found);
            Expect(prefix.Blocks, PromptBlocks);
            prefix.Lease.Release();
        }

        var times = new Times(insert, Microseconds(begun, prompts), making);
        bytes = GC.GetTotalMemory(forceFullCollection: true) - before - ((long)keys.Length * 16);
        GC.KeepAlive(index);
        GC.KeepAlive(keys);
        return times;

        Span<BlockKey> Keys(int prompt) => keys.AsSpan(prompt * PromptBlocks, PromptBlocks);
    }

    private static Parts ByParts(uint[][] prompts)
    {
        var (_, index, root) = Create(prompts.Length);
        var keys = new BlockKey[prompts.Length * PromptBlocks];
        Array.Fill(keys, new BlockKey(1, 1));
        var taken = new int[prompts.Length * PromptBlocks];
        Array.Fill(taken, 1);
        var leases = new IndexLease[prompts.Length];
        var found = new SlotRef[PromptBlocks];
        var making = Each(prompt => root.Keys(prompts[prompt], keys.AsSpan(prompt * PromptBlocks, PromptBlocks)));
        var reserve = Each(prompt =>
        {
            var count = index.Reserve(new TenantKey((ulong)prompt, 1), found.AsSpan(0, PromptBlocks - Known(prompt)), int.MaxValue);
            for (var slot = 0; slot < count; slot++)
                taken[(prompt * PromptBlocks) + slot] = found[slot].Index;
        });
        var insert = Each(prompt => index.Insert(
            root, new TenantKey((ulong)prompt, 1), keys.AsSpan(prompt * PromptBlocks, PromptBlocks), Known(prompt), taken.AsSpan(prompt * PromptBlocks, PromptBlocks - Known(prompt)),
            int.MaxValue, View.Shared, PublicReason.SharedByMode, new TenantKey((ulong)prompt, 1)));
        var match = Each(prompt =>
        {
            var prefix = index.Lookup(root, new TenantKey((ulong)prompt, 2), keys.AsSpan(prompt * PromptBlocks, PromptBlocks), View.Shared, found);
            Expect(prefix.Blocks, PromptBlocks);
            leases[prompt] = prefix.Lease;
        });
        return new Parts(making, reserve, insert, match, Each(prompt => leases[prompt].Release()));

        double Each(Action<int> work)
        {
            var begun = Stopwatch.GetTimestamp();
            for (var prompt = 0; prompt < prompts.Length; prompt++)
                work(prompt);
            return Microseconds(begun, prompts);
        }
    }

    private static Times Baseline<TPage>(uint[][] prompts, int page, Func<ArraySegment<uint>, TPage> pageOf, out long bytes)
        where TPage : notnull
    {
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var cache = new RadixBaseline<TPage>(page, pageOf);
        // A request's row: the indices that it was given for the shared part, then the next free ones.
        var rows = new int[Systems][];
        var free = 0;
        var begun = Stopwatch.GetTimestamp();
        for (var prompt = 0; prompt < prompts.Length; prompt++)
        {
            var known = Known(prompt) * BlockTokens;
            var row = new int[PromptBlocks * BlockTokens];
            if (known > 0)
                Array.Copy(rows[prompt % Systems], row, known);
            else
                rows[prompt] = row;
            for (var token = known; token < row.Length; token++)
                row[token] = free++;
            Expect(cache.Insert(prompts[prompt], row) >= known ? 1 : 0, 1);
        }

        var insert = Microseconds(begun, prompts);
        begun = Stopwatch.GetTimestamp();
        foreach (var prompt in prompts)
        {
            var (indices, last) = cache.Match(prompt);
            Expect(indices.Length, prompt.Length);
            cache.Release(last);
        }

        var times = new Times(insert, Microseconds(begun, prompts));
        bytes = GC.GetTotalMemory(forceFullCollection: true) - before;
        GC.KeepAlive(cache);
        return times;
    }

    private static uint[][] MakePrompts(int prompts)
    {
        var random = new Random(20);
        var systems = Enumerable.Range(0, Systems).Select(_ => Tokens(random, SharedBlocks)).ToArray();
        return [.. Enumerable.Range(0, prompts).Select(prompt => (uint[])[.. systems[prompt % Systems], .. Tokens(random, PromptBlocks - SharedBlocks)])];
    }

    private static uint[] Tokens(Random random, int blocks)
    {
        var tokens = new uint[blocks * BlockTokens];
        for (var token = 0; token < tokens.Length; token++)
            tokens[token] = (uint)random.Next(150_000);
        return tokens;
    }

    private static double Microseconds(long begun, uint[][] prompts) => Stopwatch.GetElapsedTime(begun).TotalMicroseconds / prompts.Length;

    private static void Expect(int actual, int expected)
    {
        if (actual != expected)
            throw new InvalidOperationException($"the benchmark measures something else: {actual} instead of {expected}");
    }

    /// <summary>Microseconds for one prompt.</summary>
    private readonly record struct Times(double Insert, double Match, double Keys = 0);

    /// <summary>Microseconds for one prompt.</summary>
    private readonly record struct Parts(double Keys, double Reserve, double Insert, double Match, double Release);
}
