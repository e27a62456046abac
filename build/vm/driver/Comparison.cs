using System.Diagnostics;
using System.Globalization;
using System.IO.Pipes;
using Moebius.Crds.V1Alpha1;
using Moebius.Cxl.Kernel;

namespace Moebius.Cxl.VirtualMachine;

/// <summary>
/// Ordinary work without hints under the kernel's own scheduler and under the duplex scheduler, in turn: alone, and beside
/// a process that the duplex scheduler takes for a reader and one that it takes for a writer. Then work that does little
/// but switch, without the node agent and with it, observing. Prints the figures of every round; whoever started the
/// machine compares them.
/// </summary>
internal static class Comparison
{
    private const int Rounds = 3;
    private const int WorkMicroseconds = 100;

    public static int Run()
    {
        using var redis = RedisLoop.Start();
        _ = (Hackbench("hackbench", 1000), Pipe("pipe", 300), Wakes("wake", 300), Redis("redis", 10_000)); // whatever is cold
        for (var round = 0; round < Rounds; round++)
        {
            // Position in the round must not favour anybody.
            foreach (var scheduler in round % 2 == 0 ? (string[])["kernel", "duplex"] : ["duplex", "kernel"])
            {
                using var duplex = scheduler == "duplex" ? SchedulerChecks.Load() : null;
                Measure(round, duplex, () => Hackbench("hackbench", 1000));
                Measure(round, duplex, () => Pipe("pipe", 3000));
                Measure(round, duplex, () => Wakes("wake", 1000));
                Measure(round, duplex, () => Redis("redis", 20_000));
                Beside(round, duplex);
                if (duplex?.Exit is { } exit)
                    Console.WriteLine($"FAIL the scheduler has left: {exit}");
            }

            Watch(round);
        }

        new[] { redis }.Kill();
        Console.WriteLine("DONE 0 failed");
        return 0;
    }

    private static void Beside(int round, DuplexScheduler? duplex)
    {
        using var reader = new BusyCgroup("readers", 1);
        using var writer = new BusyCgroup("writers", 1);
        duplex?.SetHint(reader.Id, DuplexClass.Read);
        duplex?.SetHint(writer.Id, DuplexClass.Write);
        Measure(round, duplex, () => Pipe("busy-pipe", 300));
        Measure(round, duplex, () => Wakes("busy-wake", 300));
        Measure(round, duplex, () => Redis("busy-redis", 10_000));
        duplex?.RemoveHint(reader.Id);
        duplex?.RemoveHint(writer.Id);
    }

    /// <summary>What the agent costs who only switches: once with it, twice without.</summary>
    private static void Watch(int round)
    {
        string[] runs = ["kernel", "observer", "again"];
        foreach (var run in round % 2 == 0 ? runs : runs.Reverse())
        {
            using var agent = run == "observer" ? AgentChecks.StartAgent(MemoryStrategy.Observe) : null;
            if (agent is { Status.Observer.Loaded: false })
                Console.WriteLine($"FAIL the observer is not loaded: {agent.Status.Observer.Message}");
            agent?.Tick();
            using var timer = agent is null ? null : new Timer(_ => agent.Tick(), null, agent.Interval, agent.Interval);
            Print(round, run, Hackbench("watched-hackbench", 4000)[0]);
        }
    }

    /// <summary>Prints the figures of a load, and for whoever reads the machine's log what the scheduler did meanwhile.</summary>
    private static void Measure(int round, DuplexScheduler? duplex, Func<(string Name, double Value)[]> load)
    {
        var before = duplex?.Read(DuplexClass.Balanced) ?? default;
        var figures = load();
        foreach (var figure in figures)
            Print(round, duplex is null ? "kernel" : "duplex", figure);
        if (duplex is null)
            return;
        var after = duplex.Read(DuplexClass.Balanced);
        Console.WriteLine($"COUNT {round} {figures[0].Name}: {after.Runs - before.Runs} stints, {after.Queued - before.Queued} queued, {after.Preemptions - before.Preemptions} preemptions");
    }

    private static void Print(int round, string run, (string Name, double Value) figure) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"BENCH {round} {run} {figure.Name} {figure.Value:F6}"));

    private static (string, double)[] Hackbench(string name, int loops)
    {
        // "Time: 0.123"
        var line = Output("/bin/hackbench", "--groups", "2", "--fds", "5", "--loops", $"{loops}").Split('\n').First(line => line.StartsWith("Time:", StringComparison.Ordinal));
        return [($"{name}-seconds", double.Parse(line["Time:".Length..], CultureInfo.InvariantCulture))];
    }

    /// <summary>As perf bench sched pipe does: two threads send a byte to and fro.</summary>
    private static (string, double)[] Pipe(string name, int trips)
    {
        using var there = new AnonymousPipeServerStream(PipeDirection.Out);
        using var thereEnd = new AnonymousPipeClientStream(PipeDirection.In, there.ClientSafePipeHandle);
        using var back = new AnonymousPipeServerStream(PipeDirection.Out);
        using var backEnd = new AnonymousPipeClientStream(PipeDirection.In, back.ClientSafePipeHandle);
        var echo = new Thread(() =>
        {
            Span<byte> one = stackalloc byte[1];
            for (var trip = 0; trip < trips; trip++)
            {
                thereEnd.ReadExactly(one);
                back.Write(one);
            }
        });
        echo.Start();
        var since = Stopwatch.GetTimestamp();
        Span<byte> mine = stackalloc byte[1];
        for (var trip = 0; trip < trips; trip++)
        {
            there.Write(mine);
            backEnd.ReadExactly(mine);
        }

        var taken = Stopwatch.GetElapsedTime(since).TotalMicroseconds;
        echo.Join();
        return [($"{name}-us", taken / trips)];
    }

    /// <summary>As schbench does: a thread wakes workers, and each says how long it took until it ran; then it works.</summary>
    private static (string, double)[] Wakes(string name, int wakeups)
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

    private static (string, double)[] Redis(string name, int requests)
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
