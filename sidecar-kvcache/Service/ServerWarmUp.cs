using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Moebius.Crds.Host;
using Moebius.Kvcache.V1;

namespace Moebius.KvCache.Service;

/// <summary>
/// Runs a few made-up prompts, from gRPC to detection, through a server of its own with a tiny arena, so that the code on
/// an engine's first commit is compiled by then. Nothing of it is seen in the real server's arena, metrics or log.
/// </summary>
internal static class ServerWarmUp
{
    /// <summary>Appended to the socket's path: its folder can be written to, and others may not.</summary>
    private const string Suffix = ".warm";

    private const int ArenaBytes = 1 << 18;
    private const int BlockTokens = 16;
    private const int BlockBytes = 4096;
    private const int Prompts = 3;
    private const int Blocks = 4;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>A text as long as the tokens, with something in it to find.</summary>
    private const string Text = "Please write to jane.roe@example.org or ring +1 202 555 0143.   ";

    /// <param name="options">Of the real server, which has not started.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancel">Ends it.</param>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> has ended it.</exception>
    public static async Task RunAsync(ServerOptions options, TimeProvider time, CancellationToken cancel)
    {
        var own = new ServerOptions { SocketPath = options.SocketPath + Suffix, ArenaPath = options.SocketPath + Suffix + ".arena", ArenaBytes = ArenaBytes, IsSilent = true };
        if (!KvCacheServer.FitsSocket(own.SocketPath) || !Directory.Exists(Path.GetDirectoryName(own.SocketPath)))
            return;
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(Patience);
        try
        {
            await using var server = await KvCacheServer.StartAsync(own, time, patience.Token);
            await ExchangeAsync(own.SocketPath, patience.Token);
        }
        catch (Exception error) when (error is RpcException or IOException or Crds.UserInputException or OperationCanceledException)
        {
            // The real server says what is wrong, if anything is; without a warm-up it is slow once.
        }
        finally
        {
            File.Delete(own.ArenaPath);
        }

        // A call that is cut off fails in its own way.
        cancel.ThrowIfCancellationRequested();
    }

    private static async Task ExchangeAsync(string socketPath, CancellationToken cancel)
    {
        using var channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            HttpHandler = UnixSockets.Handler(socketPath),
            DisposeHttpClient = true,
        });
        var client = new Kvcache.V1.KvCache.KvCacheClient(channel);
        var attached = await client.AttachAsync(
            new AttachRequest { ProtocolVersion = CacheStore.ProtocolVersion, Fingerprint = ByteString.CopyFrom(new byte[32]), BlockTokens = BlockTokens, BlockBytes = BlockBytes, EngineId = "warm-up" },
            cancellationToken: cancel);
        using var hold = client.Hold(new HoldRequest { Session = attached.Session }, cancellationToken: cancel);
        await hold.ResponseStream.MoveNext(cancel);
        for (var prompt = 0; prompt < Prompts; prompt++)
        {
            var tokens = Enumerable.Range(prompt << 16, Blocks * BlockTokens).Select(token => (uint)token).ToArray();
            var lookup = new LookupRequest { Session = attached.Session, Tenant = "warm-up", Tokens = { tokens } };
            var before = await client.LookupAsync(lookup, cancellationToken: cancel);
            var reserved = await client.ReserveAsync(new ReserveRequest { Session = attached.Session, Tenant = "warm-up", Count = Blocks }, cancellationToken: cancel);
            await client.CommitAsync(
                new CommitRequest
                {
                    Session = attached.Session, Tenant = "warm-up", Tokens = { tokens }, Slots = { reserved.Slots },
                    Text = ByteString.CopyFromUtf8(Text), TokenBytes = { Enumerable.Repeat((uint)(Text.Length / tokens.Length), tokens.Length) },
                },
                cancellationToken: cancel);
            var after = await client.LookupAsync(lookup, cancellationToken: cancel);
            await client.ReleaseAsync(new ReleaseRequest { Session = attached.Session, Lease = before.Lease }, cancellationToken: cancel);
            await client.ReleaseAsync(new ReleaseRequest { Session = attached.Session, Lease = after.Lease }, cancellationToken: cancel);
        }
    }
}
