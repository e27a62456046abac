using System.Buffers.Binary;
using System.Collections.Concurrent;
using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Moebius.Inference.Engine;
using Moebius.Inference.KvClient;
using Moebius.Inference.Tests.Engine;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.Tests.KvClient;

/// <summary>What a sidecar that is slow for once has kept for a request that did not wait for it.</summary>
[Trait("Category", "Component")]
public sealed class LateAnswerTests : IAsyncLifetime
{
    private const int Slots = 8;
    private const string Lease = "00000000000000ab", Nobodys = "00000000000000ac";
    private static readonly Tenant Somebody = new("t", false);

    private readonly TemporaryDirectory _directory = new();
    private readonly ConcurrentQueue<ReleaseRequest> _released = new();
    private readonly TaskCompletionSource _go = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private WebApplication _sidecar = null!;
    private SidecarCache _cache = null!;
    private int _asked;

    public async ValueTask InitializeAsync()
    {
        var socket = Path.Combine(_directory.Path, "sidecar.sock");
        await File.WriteAllBytesAsync(Path.Combine(_directory.Path, "arena"), new byte[Slots * 4096], TestContext.Current.CancellationToken);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(socket, listen => listen.Protocols = HttpProtocols.Http2));
        _sidecar = builder.Build();
        _sidecar.Run(AnswerAsync);
        await _sidecar.StartAsync(TestContext.Current.CancellationToken);
        _cache = new SidecarCache(socket, new ToyModel().Info, TimeProvider.System, NullLogger.Instance);
        await Eventually.TrueAsync(() => _cache.Connected);
    }

    public async ValueTask DisposeAsync()
    {
        _go.TrySetResult();
        await _cache.DisposeAsync();
        await _sidecar.DisposeAsync();
        _directory.Dispose();
    }

    [Fact]
    public async Task Slots_that_are_reserved_too_late_are_given_back()
    {
        Assert.Null(await Eventually.EndsAsync(_cache.ReserveAsync(Somebody, 2, TestContext.Current.CancellationToken)));
        Assert.Empty(_released);
        _go.SetResult();
        await Eventually.TrueAsync(() => !_released.IsEmpty);
        var given = Assert.Single(_released);
        Assert.Equal("session", given.Session);
        Assert.Equal([(3u, 7ul), (5u, 9ul)], given.Slots.Select(slot => (slot.Index, slot.Generation)));
    }

    [Fact]
    public async Task A_lease_that_comes_too_late_is_ended()
    {
        Assert.Null(await Eventually.EndsAsync(_cache.LookupAsync(Somebody, new[] { 1, 2, 3, 4 }, again: false, TestContext.Current.CancellationToken)));
        Assert.Empty(_released);
        _go.SetResult();
        await Eventually.TrueAsync(() => !_released.IsEmpty);
        Assert.Equal(("session", Lease), (Assert.Single(_released).Session, _released.First().Lease));
    }

    [Fact]
    public async Task What_nobody_waits_for_any_more_is_given_back_too()
    {
        using var stop = new CancellationTokenSource();
        var reserving = _cache.ReserveAsync(Somebody, 2, stop.Token);
        await Eventually.TrueAsync(() => Volatile.Read(ref _asked) == 1);
        await stop.CancelAsync();
        Assert.Null(await Eventually.EndsAsync(reserving));
        _go.SetResult();
        await Eventually.TrueAsync(() => !_released.IsEmpty);
        Assert.Equal(2, Assert.Single(_released).Slots.Count);
    }

    [Fact]
    public async Task A_sidecar_that_hangs_is_asked_no_further_until_it_answers()
    {
        var waiting = Enumerable.Range(0, CacheSession.MostLate).Select(_ => _cache.ReserveAsync(Somebody, 2, TestContext.Current.CancellationToken)).ToList();
        Assert.All(await Eventually.EndsAsync(Task.WhenAll(waiting)), Assert.Null);
        Assert.Null(await Eventually.EndsAsync(_cache.ReserveAsync(Somebody, 2, TestContext.Current.CancellationToken)));
        Assert.Null(await Eventually.EndsAsync(_cache.LookupAsync(Somebody, new[] { 1, 2, 3, 4 }, again: false, TestContext.Current.CancellationToken)));
        await Eventually.TrueAsync(() => Volatile.Read(ref _asked) >= CacheSession.MostLate);
        Assert.Equal(CacheSession.MostLate, _asked);
        _go.SetResult();
        await Eventually.TrueAsync(() => _released.Count == CacheSession.MostLate);
        IBlockReservation? room = null;
        await Eventually.TrueAsync(async () => (room = await _cache.ReserveAsync(Somebody, 2, TestContext.Current.CancellationToken)) is not null, "it is asked again");
        room!.Dispose();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        context.Response.ContentType = "application/grpc";
        var asked = await MessageAsync(context);
        switch (context.Request.Path.Value!.Split('/')[^1])
        {
            case "Attach":
                await SendAsync(context, new AttachResponse { Session = "session", ArenaPath = Path.Combine(_directory.Path, "arena"), ArenaBytes = Slots * 4096, SlotBytes = 4096, SlotCount = Slots });
                break;
            case "Hold":
                await SendAsync(context, new HoldResponse());
                await context.Response.Body.FlushAsync();
                await Task.WhenAny(Task.Delay(Timeout.Infinite, context.RequestAborted));
                return;
            case "Lookup":
                var tenant = LookupRequest.Parser.ParseFrom(asked).Tenant;
                await SlowlyAsync(tenant);
                await SendAsync(context, new LookupResponse { Lease = tenant == Somebody.Name ? Lease : Nobodys, Blocks = { new Slot { Index = 1, Generation = 1 } } });
                break;
            case "Reserve" when ReserveRequest.Parser.ParseFrom(asked) is { Count: > 0 } wanted:
                await SlowlyAsync(wanted.Tenant);
                await SendAsync(context, new ReserveResponse { Slots = { new Slot { Index = 3, Generation = 7 }, new Slot { Index = 5, Generation = 9 } } });
                break;
            case "Release":
                // A session that warms up gives back what it got, some time later.
                if (ReleaseRequest.Parser.ParseFrom(asked) is { Lease: not Nobodys } released)
                    _released.Enqueue(released);
                await SendAsync(context, new ReleaseResponse());
                break;
            default:
                context.Response.AppendTrailer("grpc-status", "3");
                return;
        }

        context.Response.AppendTrailer("grpc-status", "0");
    }

    private async Task SlowlyAsync(string tenant)
    {
        if (tenant != Somebody.Name)
            return;
        Interlocked.Increment(ref _asked);
        await _go.Task;
    }

    /// <summary>In gRPC's frame: no compression, the length and the message.</summary>
    private static async Task<byte[]> MessageAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        return body.ToArray()[5..];
    }

    private static async Task SendAsync(HttpContext context, IMessage message)
    {
        var head = new byte[5];
        BinaryPrimitives.WriteInt32BigEndian(head.AsSpan(1), message.CalculateSize());
        await context.Response.Body.WriteAsync(head);
        await context.Response.Body.WriteAsync(message.ToByteArray());
    }
}
