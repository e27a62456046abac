using Moebius.Kvcache.V1;
using Moebius.KvCache.Service;

namespace Moebius.KvCache.Tests.Service;

/// <summary>What a server that stops waits for.</summary>
[Trait("Category", "Component")]
public sealed class StopTests
{
    [Fact]
    public async Task The_arena_outlives_a_round_of_a_timer_that_is_under_way()
    {
        var time = new HeldTime();
        var server = await TestServer.StartAsync(time: time);
        var stopping = server.DisposeAsync().AsTask();
        await Eventually.EndsAsync(time.Awaited);
        // A round reads the arena until its timer says that it has ended.
        Assert.False(stopping.IsCompleted);
        time.Release();
        await stopping;
    }

    [Fact]
    public async Task A_server_that_stops_ends_its_sessions_in_order()
    {
        await using var server = await TestServer.StartAsync();
        using var client = await server.Connect().AttachAsync();
        using var hold = client.Api.Hold(new HoldRequest { Session = client.Session }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(await hold.ResponseStream.MoveNext(TestContext.Current.CancellationToken));
        await server.RestartAsync();
        // Cut off, it would be an error.
        Assert.False(await hold.ResponseStream.MoveNext(TestContext.Current.CancellationToken));
        Assert.Equal(Grpc.Core.StatusCode.OK, hold.GetStatus().StatusCode);
    }

    [Fact]
    public async Task A_stop_during_the_warm_up_is_no_failure()
    {
        var folder = Directory.CreateTempSubdirectory("kvcache-");
        try
        {
            var options = new ServerOptions { SocketPath = Path.Combine(folder.FullName, "s"), ArenaPath = Path.Combine(folder.FullName, "arena"), ArenaBytes = 1 << 20 };
            using var stop = new CancellationTokenSource();
            // However fast it is, its server does not end before it is told to.
            var time = new HeldTime();
            var warming = ServerWarmUp.RunAsync(options, time, stop.Token);
            // From its own socket on, the warm-up is in a call, which fails in its own way when it is cut off.
            await Eventually.TrueAsync(() => warming.IsCompleted || File.Exists(options.SocketPath + ".warm"));
            await stop.CancelAsync();
            time.Release();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => warming);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>Timers that do not end before they are released, as if a round were under way.</summary>
    private sealed class HeldTime : TimeProvider
    {
        private readonly TaskCompletionSource _awaited = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Somebody waits for a timer's end.</summary>
        public Task Awaited => _awaited.Task;

        public void Release() => _released.SetResult();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => new Held(this);

        private sealed class Held(HeldTime time) : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public async ValueTask DisposeAsync()
            {
                time._awaited.TrySetResult();
                await time._released.Task;
            }
        }
    }
}
