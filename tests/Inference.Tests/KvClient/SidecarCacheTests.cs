using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Moebius.Inference.KvClient;
using Moebius.Inference.Tests.Engine;

namespace Moebius.Inference.Tests.KvClient;

// What the client and the real sidecar do together is tested with both as processes, in tests/EndToEnd.
public class SidecarCacheTests
{
    [Fact]
    public async Task Without_a_sidecar_requests_run_and_it_is_said_once()
    {
        using var directory = new TemporaryDirectory();
        var log = new CollectingLogger();
        await using var cache = new SidecarCache(Path.Combine(directory.Path, "nothing.sock"), new ToyModel().Info, TimeProvider.System, log);
        await using var harness = new EngineHarness(cache: cache);
        int[] prompt = [.. Enumerable.Range(1, 20)];
        Assert.Equal(ToyModel.Continue(prompt, 12), (await harness.RunAsync(EngineHarness.Greedy(prompt, 12))).Tokens);
        while (log.Messages.IsEmpty)
            await Task.Delay(10, TestContext.Current.CancellationToken);

        // Time for further attempts: the first pauses are 0.1 s and 0.2 s.
        await Task.Delay(600, TestContext.Current.CancellationToken);
        Assert.False(cache.Connected);
        Assert.Contains("is not available", Assert.Single(log.Messages), StringComparison.Ordinal);
    }

    [Fact]
    public void Pauses_grow_to_a_bound()
    {
        Assert.Equal(TimeSpan.FromMilliseconds(100), SidecarCache.Pause(0));
        Assert.True(SidecarCache.Pause(3) > SidecarCache.Pause(2));
        Assert.Equal(SidecarCache.Pause(20), SidecarCache.Pause(int.MaxValue));
    }

    [Fact]
    public void A_slot_outside_the_arena_or_a_shrunken_file_is_not_read()
    {
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "arena");
        File.WriteAllBytes(path, new byte[64]);
        using var arena = new ArenaFile(path, 64, 16, 4);
        var bytes = new byte[16];
        Assert.True(arena.TryWrite(3, [1, 2, 3]));
        Assert.True(arena.TryRead(3, bytes));
        Assert.Equal([1, 2, 3, 0], bytes[..4]);
        Assert.False(arena.TryRead(4, bytes));
        Assert.False(arena.TryWrite(0, new byte[17]));
        using (var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(20);
        Assert.False(arena.TryRead(3, bytes));
        Assert.Throws<IOException>(() => new ArenaFile(path, 64, 16, 4));
    }

    private sealed class CollectingLogger : ILogger
    {
        public ConcurrentQueue<string> Messages { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Messages.Enqueue(formatter(state, exception));
    }
}
