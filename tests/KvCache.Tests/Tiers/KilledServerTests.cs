using System.Diagnostics;
using System.Security.Cryptography;
using Moebius.KvCache.Service;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>kill -9 of the sidecar under load, again and again on the same files. The benchmark does it a thousand times.</summary>
[Trait("Category", "Component")]
public sealed class KilledServerTests
{
    private const int Kills = 8;

    [Fact]
    public async Task A_server_killed_under_load_serves_nothing_wrong_and_nothing_foreign_afterwards()
    {
        var folder = Directory.CreateTempSubdirectory("kvcrash-").FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "policy"), CrashLoad.Policy);
        await File.WriteAllBytesAsync(Path.Combine(folder, "key"), RandomNumberGenerator.GetBytes(32));
        var tally = new CrashTally();
        var random = new Random(7);
        for (var kill = 0; kill < Kills; kill++)
        {
            using var server = Start(folder);
            string? line;
            do
            {
                line = await server.StandardOutput.ReadLineAsync();
                Assert.NotNull(line);
            }
            while (line != "serving");
            _ = server.StandardOutput.ReadToEndAsync();
            using var stop = new CancellationTokenSource();
            var load = Enumerable.Range(0, 3).Select(client => CrashLoad.RunAsync(Path.Combine(folder, "s"), (kill * 3) + client, tally, stop.Token)).ToArray();
            // At some point; the first and the last time not before the cache was read and a block is on the disk.
            var life = random.Next(1200);
            await Task.Delay(life);
            if (kill is 0 or Kills - 1)
                await Eventually.TrueAsync(() => Interlocked.Read(ref tally.Read) > 100 && IsStored(folder));
            server.Kill();
            await server.WaitForExitAsync();
            await stop.CancelAsync();
            await Task.WhenAll(load);
        }

        Assert.Equal((0L, 0L), (tally.Wrong, tally.Foreign));
        Assert.True(tally.Read > 100, $"only {tally.Read} blocks were read");
        Assert.True(IsStored(folder));
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>The server's life, in a process of its own.</summary>
    internal static async Task ServeAsync(string folder)
    {
        await using var server = await KvCacheServer.StartAsync(
            new ServerOptions
            {
                SocketPath = Path.Combine(folder, "s"),
                ArenaPath = Path.Combine(folder, "arena"),
                ArenaBytes = 40 * (4096 + 8),
                PolicyPath = Path.Combine(folder, "policy"),
                SsdPath = Path.Combine(folder, "ssd"),
                SsdBytes = 1 << 20,
                EncryptionKeyPath = Path.Combine(folder, "key"),
            },
            TimeProvider.System,
            CancellationToken.None);
        await Console.Out.WriteLineAsync("serving");
        await Task.Delay(Timeout.Infinite);
    }

    /// <summary>A record is there: a directory that has its header only is removed at the next start.</summary>
    private static bool IsStored(string folder) =>
        Directory.Exists(Path.Combine(folder, "ssd")) && Directory.GetFiles(Path.Combine(folder, "ssd"), "*.directory")
            .Any(static file => new FileInfo(file) is { Exists: true, Length: > SegmentRecord.Size });

    private static Process Start(string folder)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
            start.ArgumentList.Add(typeof(KilledServerTests).Assembly.Location);
        start.ArgumentList.Add(Program.ServerArgument);
        start.ArgumentList.Add(folder);
        return Process.Start(start)!;
    }
}
