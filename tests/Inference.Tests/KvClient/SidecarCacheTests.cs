using System.Collections.Concurrent;
using System.Net.Sockets;
using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using Moebius.Inference.KvClient;
using Moebius.Inference.Tests.Engine;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.Tests.KvClient;

// What the client and the real sidecar do together is tested with both as processes, in tests/EndToEnd.
[Trait("Category", "Component")]
public class SidecarCacheTests
{
    [Fact]
    public async Task Without_a_sidecar_requests_run_and_it_is_said_once()
    {
        using var directory = new TemporaryDirectory();
        var log = new CollectingLogger();
        var clock = new SkippingClock();
        await using var cache = new SidecarCache(Path.Combine(directory.Path, "nothing.sock"), new ToyModel().Info, clock, log);
        await using var harness = new EngineHarness(cache: cache);
        int[] prompt = [.. Enumerable.Range(1, 20)];
        Assert.Equal(ToyModel.Continue(prompt, 12), (await harness.RunAsync(EngineHarness.Greedy(prompt, 12))).Tokens);
        // Each attempt that failed is followed by a pause.
        await Eventually.TrueAsync(() => clock.Pauses.Count >= 4);
        Assert.Equal(Enumerable.Range(0, 4).Select(SidecarCache.Pause), clock.Pauses.Take(4));
        Assert.False(cache.Connected);
        Assert.Contains("is not available (there is no such socket)", Assert.Single(log.Messages), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sidecar_that_answers_nonsense_is_tried_again_and_each_change_is_told()
    {
        using var directory = new TemporaryDirectory();
        var socket = Path.Combine(directory.Path, "sidecar.sock");
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(socket, listen => listen.Protocols = HttpProtocols.Http2));
        await using var sidecar = builder.Build();
        var attempts = 0;
        var missing = Path.Combine(directory.Path, "no-arena");
        sidecar.Run(async context =>
        {
            // Twice an arena without a name, then one that is not there. In gRPC's frame: no compression, and the length.
            var arena = Interlocked.Increment(ref attempts) <= 2 ? "" : missing;
            var body = new AttachResponse { Session = "s", ArenaPath = arena, ArenaBytes = 4096, SlotBytes = 4096, SlotCount = 1 }.ToByteArray();
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.WriteAsync(new byte[] { 0, 0, 0, 0, (byte)body.Length });
            await context.Response.Body.WriteAsync(body);
            context.Response.AppendTrailer("grpc-status", "0");
        });
        await sidecar.StartAsync(TestContext.Current.CancellationToken);
        var log = new CollectingLogger();
        await using var cache = new SidecarCache(socket, new ToyModel().Info, new SkippingClock(), log);
        await Eventually.TrueAsync(() => Volatile.Read(ref attempts) >= 6);
        Assert.Equal(2, log.Entries.Count);
        var (nameless, absent) = (log.Entries.First(), log.Entries.Last());
        Assert.Contains("is not available (", nameless.Text, StringComparison.Ordinal);
        // Nobody foresaw it: where it comes from is worth knowing.
        Assert.IsType<ArgumentException>(nameless.Error);
        Assert.Contains(missing, absent.Text, StringComparison.Ordinal);
        Assert.Null(absent.Error);
    }

    [Fact]
    public async Task A_broken_connection_for_lookups_ends_the_session_and_another_begins()
    {
        using var directory = new TemporaryDirectory();
        var (socket, arena, hot) = (Path.Combine(directory.Path, "sidecar.sock"), Path.Combine(directory.Path, "arena"), Path.Combine(directory.Path, "hot"));
        await File.WriteAllBytesAsync(arena, new byte[4096], TestContext.Current.CancellationToken);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(hot));
        listener.Listen();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(socket, listen => listen.Protocols = HttpProtocols.Http2));
        await using var sidecar = builder.Build();
        var (attached, held) = (0, 0);
        sidecar.Run(async context =>
        {
            context.Response.ContentType = "application/grpc";
            if (context.Request.Path.Value!.EndsWith("/Attach", StringComparison.Ordinal))
            {
                Interlocked.Increment(ref attached);
                await SendAsync(context, new AttachResponse { Session = "s", ArenaPath = arena, ArenaBytes = 4096, SlotBytes = 4096, SlotCount = 1, HotSocketPath = hot });
                context.Response.AppendTrailer("grpc-status", "0");
            }
            else if (context.Request.Path.Value!.EndsWith("/Hold", StringComparison.Ordinal))
            {
                Interlocked.Increment(ref held);
                await SendAsync(context, new HoldResponse());
                await context.Response.Body.FlushAsync();
                await Task.WhenAny(Task.Delay(Timeout.Infinite, context.RequestAborted));
                Interlocked.Decrement(ref held);
            }
            else
            {
                context.Response.AppendTrailer("grpc-status", "12");
            }
        });
        await sidecar.StartAsync(TestContext.Current.CancellationToken);
        var log = new CollectingLogger();
        await using var cache = new SidecarCache(socket, new ToyModel().Info, TimeProvider.System, log);
        using (await listener.AcceptAsync(TestContext.Current.CancellationToken))
            await Eventually.TrueAsync(() => Volatile.Read(ref held) == 1);
        using var second = await Eventually.EndsAsync(listener.AcceptAsync(TestContext.Current.CancellationToken).AsTask());
        // The sidecar takes back what the first one had only if that has ended.
        await Eventually.TrueAsync(() => (Volatile.Read(ref attached), Volatile.Read(ref held)) == (2, 1));
        Assert.Contains(log.Messages, message => message.Contains("(the connection for lookups broke)", StringComparison.Ordinal));

        static async Task SendAsync(HttpContext context, IMessage message)
        {
            var body = message.ToByteArray();
            await context.Response.Body.WriteAsync(new byte[] { 0, 0, 0, 0, (byte)body.Length });
            await context.Response.Body.WriteAsync(body);
        }
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
        arena.Populate(TestContext.Current.CancellationToken);
        new byte[] { 1, 2, 3 }.CopyTo(arena.Slot(3, 16));
        Assert.Equal([1, 2, 3, 0], arena.Slot(3, 4).ToArray());
        Assert.Equal([1, 2, 3, 0], File.ReadAllBytes(path)[48..52]);
        Assert.True(arena.Slot(4, 16).IsEmpty);
        Assert.True(arena.Slot(0, 17).IsEmpty);
        using (var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(20);
        Assert.True(arena.Slot(3, 16).IsEmpty);
        Assert.Throws<IOException>(() => new ArenaFile(path, 64, 16, 4));
    }

    [Fact]
    public void Who_holds_the_arena_can_read_it_after_its_disposal()
    {
        using var directory = new TemporaryDirectory();
        var path = Path.Combine(directory.Path, "arena");
        File.WriteAllBytes(path, new byte[8192]);
        var arena = new ArenaFile(path, 8192, 4096, 2);
        Assert.True(arena.TryHold());
        var slot = arena.Slot(1, 4096);
        slot[4095] = 7;
        arena.Dispose();
        // The file is closed, so that nothing new is given out; what was is still mapped.
        Assert.True(arena.Slot(1, 4096).IsEmpty);
        Assert.Equal(7, slot[4095]);
        arena.EndHold();
        Assert.False(arena.TryHold());
    }

    /// <summary>Every pause is over at once, and is noted.</summary>
    private sealed class SkippingClock : TimeProvider
    {
        public ConcurrentQueue<TimeSpan> Pauses { get; } = new();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Pauses.Enqueue(dueTime);
            return base.CreateTimer(callback, state, TimeSpan.Zero, period);
        }
    }
}
