using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Moebius.Bench.KvCache;

/// <summary>
/// Getting 32 cached blocks of 256 KiB: a lookup over the hot socket, and either copies out of the mapped arena into the
/// caller's memory or reads in place, as the engine does. Beside it 32 pipelined GETs to Redis and Garnet over loopback,
/// read straight into the same memory, and as much copied or read in this process's own memory. One set of blocks after
/// the other, of eight that together are twice as large as the last cache: what is read lies in memory, in every row.
/// All memory begins at a page, as caches of keys and values do.
/// </summary>
internal static partial class GetBench
{
    private const int BlockTokens = 16;
    private const int Blocks = 32;
    private const int BlockBytes = 256 << 10;
    private const int SetBytes = Blocks * BlockBytes;
    private const int Sets = 8;
    private const int HugePage = 2 << 20;
    private const int UseHugePages = 14;
    private const int Repeats = 9;
    private const int Rounds = 5 * Sets;

    private sealed record Times(double Copied, double InPlace, double Lookup, double FirstCopied, double FirstPopulated, double Memcpy, double Read, double HugeMemcpy, double HugeRead, double Redis, double Garnet);

    public static async Task RunAsync()
    {
        var folder = MemoryFolder.Create();
        try
        {
            await using var sidecar = ProductProcess.Start("kvcache", "serve", "--socket", Path.Combine(folder.FullName, "kv.sock"), "--arena", folder.FullName, "--arena-size", "72Mi");
            await sidecar.SaysAsync("lie in huge pages");
            using var cache = await CachedBlocks.CreateAsync(Path.Combine(folder.FullName, "kv.sock"), Sets, BlockTokens, Blocks, BlockBytes);
            using var redis = PeerStore.Start("redis-server", Sets, Blocks, BlockBytes);
            using var garnet = PeerStore.Start("garnet-server", Sets, Blocks, BlockBytes);
            var (target, source, huge) = (Allocate(1, huge: false), Allocate(Sets, huge: false), Allocate(Sets, huge: true));
            for (var set = 0; set < Sets; set++)
            {
                Random.Shared.NextBytes(Memory(source, set));
                Memory(source, set).CopyTo(Memory(huge, set));
            }

            var results = new List<Times>();
            for (var repeat = -2; repeat < Repeats; repeat++)
            {
                var times = Measure(cache, redis, garnet, target, source, huge);
                if (repeat >= 0)
                    results.Add(times);
            }

            Free(target);
            Free(source);
            Free(huge);
            Show(results, redis is not null, garnet is not null);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>Reads all bytes, so that they have been read; 32 bytes a step.</summary>
    public static ulong Sum(ReadOnlySpan<byte> bytes)
    {
        var (a, b) = (Vector<ulong>.Zero, Vector<ulong>.Zero);
        var vectors = MemoryMarshal.Cast<byte, Vector<ulong>>(bytes);
        for (var index = 0; index + 1 < vectors.Length; index += 2)
        {
            a += vectors[index];
            b += vectors[index + 1];
        }

        return Vector.Sum(a + b);
    }

    private static Times Measure(CachedBlocks cache, PeerStore? redis, PeerStore? garnet, nint target, nint source, nint huge)
    {
        var sum = 0UL;
        var times = new Times(
            Time(set => cache.Copy(set, Memory(target, 0))),
            Time(set => sum += cache.Read(set)),
            Time(set => cache.Lookup(set)),
            FirstTime(cache, target, populate: false),
            FirstTime(cache, target, populate: true),
            Time(set => Copy(source, set)),
            Time(set => sum += Read(source, set)),
            Time(set => Copy(huge, set)),
            Time(set => sum += Read(huge, set)),
            redis is null ? double.NaN : Time(set => redis.Get(set, Memory(target, 0))),
            garnet is null ? double.NaN : Time(set => garnet.Get(set, Memory(target, 0))));
        return sum == 0 ? throw new InvalidOperationException("nothing was read") : times;

        void Copy(nint memory, int set)
        {
            for (var block = 0; block < Blocks; block++)
                Memory(memory, set).Slice(block * BlockBytes, BlockBytes).CopyTo(Memory(target, 0)[(block * BlockBytes)..]);
        }

        static ulong Read(nint memory, int set)
        {
            var sum = 0UL;
            for (var block = 0; block < Blocks; block++)
                sum += Sum(Memory(memory, set).Slice(block * BlockBytes, BlockBytes));
            return sum;
        }
    }

    /// <summary>Seconds for one round.</summary>
    private static double Time(Action<int> round)
    {
        var begun = Stopwatch.GetTimestamp();
        for (var index = 0; index < Rounds; index++)
            round(index % Sets);
        return Stopwatch.GetElapsedTime(begun).TotalSeconds / Rounds;
    }

    /// <summary>Seconds for a set that is read through a mapping for the first time.</summary>
    private static double FirstTime(CachedBlocks cache, nint target, bool populate)
    {
        using var arena = cache.OpenArena();
        if (populate && arena.TryHold())
        {
            arena.Populate(CancellationToken.None);
            arena.EndHold();
        }

        var begun = Stopwatch.GetTimestamp();
        for (var set = 0; set < Sets; set++)
            cache.Copy(arena, set, Memory(target, 0));
        return Stopwatch.GetElapsedTime(begun).TotalSeconds / Sets;
    }

    private static unsafe nint Allocate(int sets, bool huge)
    {
        var memory = (nint)NativeMemory.AlignedAlloc((nuint)sets * SetBytes, HugePage);
        if (huge)
            _ = Advise(memory, (nuint)sets * SetBytes, UseHugePages);
        return memory;
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);

    private static unsafe void Free(nint memory) => NativeMemory.AlignedFree((void*)memory);

    private static unsafe Span<byte> Memory(nint start, int set) => new((byte*)start + ((long)set * SetBytes), SetBytes);

    private static void Show(List<Times> results, bool redis, bool garnet)
    {
        Report.Title($"Getting {Blocks} blocks of {BlockBytes >> 10} KiB ({Repeats} repeats of {Rounds})", "what", "GiB/s", "the arena, copied, against it", "the arena, in place, against it", "bar", "");
        Row("the arena, copied: lookup, copy, release", static times => times.Copied, null);
        Row("the arena, in place: lookup, read, release", static times => times.InPlace, null);
        Report.Row("of which the lookup", Spread.Of(results.Select(static times => 1e6 * times.Lookup)).Text("F0", " us"), "", "", "", "");
        Row("the arena, copied, through a new mapping", static times => times.FirstCopied, null);
        Row("the arena, copied, through a new mapping with its pages entered", static times => times.FirstPopulated, null);
        Row("memcpy in this process", static times => times.Memcpy, 0.8);
        Row("read in this process", static times => times.Read, 0.8, inPlace: true);
        Row("memcpy in this process out of huge pages", static times => times.HugeMemcpy, 0.8);
        Row("read in this process, in huge pages", static times => times.HugeRead, 0.8, inPlace: true);
        if (redis)
            Row("Redis, pipelined GETs on loopback", static times => times.Redis, 5);
        if (garnet)
            Row("Garnet, pipelined GETs on loopback", static times => times.Garnet, 5);
        if (!redis || !garnet)
            Report.Line("A server is missing: run build/peers/servers.sh.");

        void Row(string name, Func<Times, double> of, double? bar, bool inPlace = false)
        {
            var copied = Spread.Of(results.Select(times => of(times) / times.Copied));
            var read = Spread.Of(results.Select(times => of(times) / times.InPlace));
            Report.Row(
                name,
                Spread.Of(results.Select(times => SetBytes / (double)(1 << 30) / of(times))).Text("F2"),
                bar is null || inPlace ? "" : copied.Text("F2", "x"),
                bar is null || (!inPlace && bar < 1) ? "" : read.Text("F2", "x"),
                bar is null ? "" : FormattableString.Invariant($">= {bar}x"),
                bar is { } limit ? Report.AtLeast((inPlace ? read : copied).Median, limit) : "");
        }
    }
}
