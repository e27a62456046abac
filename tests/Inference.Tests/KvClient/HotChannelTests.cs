using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using Grpc.Core;
using Grpc.Net.Client;
using Moebius.Inference.Engine;
using Moebius.Inference.KvClient;
using Moebius.Kvcache.V1;

namespace Moebius.Inference.Tests.KvClient;

[Trait("Category", "Component")]
public sealed class HotChannelTests
{
    private const int HeaderBytes = 9;
    private const int Lookups = 20_000;

    [Fact]
    public async Task Every_lease_is_handed_out_or_told_as_late_whenever_its_answer_comes()
    {
        var stop = TestContext.Current.CancellationToken;
        using var listener = Listen(out var path);
        try
        {
            var seen = new ConcurrentDictionary<ulong, int>();
            using var channel = new HotChannel(path) { Late = found => seen.AddOrUpdate(found.Lease, 1, (_, times) => times + 1) };
            using var connection = await listener.AcceptAsync(stop);
            // On a thread of its own, as the sidecar is another process: while all threads of the pool are busy the frames would fill the socket.
            var serving = Task.Factory.StartNew(() => Serve(connection), stop, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            for (var lookup = 0; lookup < Lookups; lookup++)
            {
                try
                {
                    // Half of them wait as long as an answer takes, some of which comes in the very moment; the others not at all.
                    var found = await channel.LookupAsync("s", new Tenant("t", false), ReadOnlyMemory<int>.Empty, again: false, TimeSpan.Zero, TimeSpan.FromMilliseconds(lookup % 2), stop);
                    seen.AddOrUpdate(found.Lease, 1, (_, times) => times + 1);
                }
                catch (RpcException error) when (error.StatusCode == StatusCode.DeadlineExceeded)
                {
                    // Its answer comes, or has come, and is told as late.
                }

                // No more are asked than the socket holds, or the frames would wait for a reader that waits for a thread of the pool.
                if (lookup % 64 == 63)
                    await Eventually.TrueAsync(() => seen.Count == lookup + 1);
            }

            await Eventually.EndsAsync(serving);
            // The last answers may still be on their way through the channel; a lost one never comes.
            await Eventually.TrueAsync(() => seen.Count == Lookups);
            Assert.All(seen, lease => Assert.Equal(1, lease.Value));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public async Task A_sidecar_that_reads_nothing_holds_nobody()
    {
        var stop = TestContext.Current.CancellationToken;
        using var listener = Listen(out var path);
        try
        {
            using var channel = new HotChannel(path);
            using var connection = await listener.AcceptAsync(stop);
            var lookups = Enumerable.Range(0, 8).Select(_ => Task.Run(() => channel.LookupAsync("s", new Tenant("t", false), new int[1 << 20], again: false, TimeSpan.Zero, TimeSpan.FromMilliseconds(10), stop), stop)).ToList();
            foreach (var lookup in lookups)
                await Assert.ThrowsAsync<RpcException>(() => Eventually.EndsAsync(lookup));
            Assert.False(channel.Alive);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void An_attempt_whose_arena_cannot_be_opened_leaves_no_connection()
    {
        // It is made again every two seconds for as long as that lasts.
        using var listener = Listen(out var path);
        try
        {
            using var calls = GrpcChannel.ForAddress("http://localhost");
            var attached = new AttachResponse { Session = "s", ArenaPath = path + ".none", ArenaBytes = 4096, SlotBytes = 4096, SlotCount = 1, HotSocketPath = path };
            Assert.ThrowsAny<IOException>(() => new CacheSession(new Kvcache.V1.KvCache.KvCacheClient(calls), attached, 16));
            Assert.False(listener.Poll(0, SelectMode.SelectRead));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static Socket Listen(out string path)
    {
        path = Path.Combine(Path.GetTempPath(), $"moebius-hot-{Guid.NewGuid():N}");
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        return listener;
    }

    /// <summary>Answers each lookup at once, with its number as the lease.</summary>
    private static void Serve(Socket connection)
    {
        using var stream = new NetworkStream(connection);
        var header = new byte[HeaderBytes];
        var answer = new byte[HeaderBytes + 12];
        for (var lookup = 0; lookup < Lookups; lookup++)
        {
            stream.ReadExactly(header);
            stream.ReadExactly(new byte[BinaryPrimitives.ReadInt32LittleEndian(header) - (HeaderBytes - sizeof(int))]);
            var call = BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(5));
            BinaryPrimitives.WriteInt32LittleEndian(answer, answer.Length - sizeof(int));
            answer[4] = header[4];
            BinaryPrimitives.WriteUInt32LittleEndian(answer.AsSpan(5), call);
            BinaryPrimitives.WriteUInt64LittleEndian(answer.AsSpan(HeaderBytes), call);
            stream.Write(answer);
        }
    }
}
