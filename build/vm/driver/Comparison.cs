using System.Diagnostics;
using System.Globalization;
using System.IO.Pipes;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>
/// Ordinary work without hints under the kernel's own scheduler and under the duplex scheduler, in turn: alone, and beside
/// a process that the duplex scheduler takes for a reader and one that it takes for a writer. Prints the figures of every
/// round; whoever started the machine compares them.
/// </summary>
internal static class Comparison
{
    private const int Rounds = 4;
    private const int WorkMicroseconds = 100;

    public static int Run()
    {
        using var redis = RedisLoop.Start();
        _ = Alone().Count(); // whatever is cold
        for (var round = 0; round < Rounds; round++)
        {
            // Position in the round must not favour anybody.
            foreach (var scheduler in round % 2 == 0 ? (string[])["kernel", "duplex"] : ["duplex", "kernel"])
            {
                using var duplex = scheduler == "duplex" ? SchedulerChecks.Load() : null;
                Print(round, scheduler, Alone());
                Count(round, "alone", duplex);
                Print(round, scheduler, Beside(duplex));
                Count(round, "beside", duplex);
                if (duplex?.Exit is { } exit)
                    Console.WriteLine($"FAIL the scheduler has left: {exit}");
            }
        }

        new[] { redis }.Kill();
        Console.WriteLine("DONE 0 failed");
        return 0;
    }

    private static void Print(int round, string scheduler, IEnumerable<(string, double)> figures)
    {
        foreach (var (name, value) in figures)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"BENCH {round} {scheduler} {name} {value:F6}"));
    }

    /// <summary>What the scheduler has done so far: for whoever looks into the machine's log for a reason.</summary>
    private static void Count(int round, string load, DuplexScheduler? duplex)
    {
        foreach (var value in duplex is null ? [] : Enum.GetValues<DuplexClass>())
            Console.WriteLine($"COUNT {round} {load} {value} {duplex!.Read(value)}");
    }

    private static IEnumerable<(string Name, double Value)> Alone() =>
        [("hackbench-seconds", Hackbench()), .. Wakes("wake", 1000), .. Redis("redis", 20_000)];

    private static IEnumerable<(string Name, double Value)> Beside(DuplexScheduler? duplex)
    {
        using var reader = new BusyCgroup("readers", 1);
        using var writer = new BusyCgroup("writers", 1);
        duplex?.SetHint(reader.Id, DuplexClass.Read);
        duplex?.SetHint(writer.Id, DuplexClass.Write);
        foreach (var figure in Wakes("busy-wake", 300).Concat(Redis("busy-redis", 10_000)))
            yield return figure;
        duplex?.RemoveHint(reader.Id);
        duplex?.RemoveHint(writer.Id);
    }

    private static double Hackbench()
    {
        // "Time: 0.123"
        var line = Output("/bin/hackbench", "--groups", "2", "--fds", "5", "--loops", "1000").Split('\n').First(line => line.StartsWith("Time:", StringComparison.Ordinal));
        return double.Parse(line["Time:".Length..], CultureInfo.InvariantCulture);
    }

    /// <summary>As schbench does: a thread wakes workers, and each says how long it took until it ran; then it works.</summary>
    private static IEnumerable<(string, double)> Wakes(string name, int wakeups)
    {
        const int Workers = 3;
        var latencies = new List<double>();
        var threads = Enumerable.Range(0, Workers).Select(_ =>
        {
            var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
            var reader = new AnonymousPipeClientStream(PipeDirection.In, pipe.ClientSafePipeHandle);
            var thread = new Thread(() =>
            {
                Span<byte> buffer = stackalloc byte[8];
                var mine = new List<double>();
                while (reader.Read(buffer) == 8)
                {
                    mine.Add(Stopwatch.GetElapsedTime(BitConverter.ToInt64(buffer)).TotalMicroseconds);
                    // By the clock: how long a number of instructions takes is the emulator's business.
                    for (var begun = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begun).TotalMicroseconds < WorkMicroseconds;)
                        continue;
                }

                lock (latencies)
                    latencies.AddRange(mine);
            });
            thread.Start();
            return (pipe, thread);
        }).ToList();
        Span<byte> stamp = stackalloc byte[8];
        for (var i = 0; i < wakeups; i++)
        {
            foreach (var (pipe, _) in threads)
            {
                BitConverter.TryWriteBytes(stamp, Stopwatch.GetTimestamp());
                pipe.Write(stamp);
            }

            Thread.Sleep(1);
        }

        foreach (var (pipe, thread) in threads)
        {
            pipe.Dispose();
            thread.Join();
        }

        latencies.Sort();
        return [($"{name}-p50-us", latencies[latencies.Count / 2]), ($"{name}-p99-us", latencies[(int)(latencies.Count * 0.99)])];
    }

    private static IEnumerable<(string, double)> Redis(string name, int requests)
    {
        // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
        var line = Output("/bin/redis-benchmark", "-s", RedisLoop.SocketPath, "-t", "get", "-n", $"{requests}", "-c", "16", "--csv").Split('\n').First(line => line.StartsWith("\"GET", StringComparison.Ordinal));
        var fields = line.Split(',').Select(field => field.Trim('"', '\r')).ToArray();
        return [($"{name}-requests-per-second", double.Parse(fields[1], CultureInfo.InvariantCulture)), ($"{name}-p99-ms", double.Parse(fields[6], CultureInfo.InvariantCulture))];
    }

    private static string Output(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} ended with {process.ExitCode}: {output}");
    }
}
