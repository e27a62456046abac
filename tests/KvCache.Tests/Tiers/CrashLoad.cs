extern alias sidecar;

using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Moebius.Crds.Host;
using sidecar::Moebius.Kvcache.V1;
using Client = sidecar::Moebius.Kvcache.V1.KvCache.KvCacheClient;

namespace Moebius.KvCache.Tests.Tiers;

/// <summary>What a load has seen.</summary>
internal sealed class CrashTally
{
    /// <summary>Blocks read.</summary>
    public long Read;

    /// <summary>Blocks whose bytes were not those of their prefix.</summary>
    public long Wrong;

    /// <summary>Blocks that another tenant had committed as private.</summary>
    public long Foreign;

    /// <summary>Blocks handed in.</summary>
    public long Committed;
}

/// <summary>
/// An engine that caches and reads the same texts for several tenants, until the server is gone. A block's bytes say which
/// prefix they belong to and, beyond the declared text, whose they are: what is served wrongly or to the wrong tenant is
/// seen.
/// </summary>
internal static class CrashLoad
{
    public const int BlockTokens = 4;
    public const string SystemPrompt = "You are a helpful assistant in a shop. ";
    private const int BlockBytes = 4096;
    private static readonly string[] Tenants = ["alice", "bob", "carol"];

    public static string Policy { get; } = $"""
        apiVersion: moebius.dev/v1alpha1
        kind: KVPrivacyPolicy
        metadata:
          name: crash
        spec:
          publicPrefixes:
          - name: shop
            text: "{SystemPrompt}"
          promotion:
            maxDelay: 1ms
          encryption:
            secretRef: {"{"}name: a, key: b{"}"}
        """;

    /// <summary>Works until the server does not answer any more, or until told to stop.</summary>
    public static async Task RunAsync(string socketPath, int seed, CrashTally tally, CancellationToken stop)
    {
        var random = new Random(seed);
        using var channel = Connect(socketPath);
        var client = new Client(channel);
        try
        {
            var attached = await client.AttachAsync(
                new AttachRequest { ProtocolVersion = 1, Fingerprint = ByteString.CopyFrom(SHA256.HashData("crash"u8)), BlockTokens = BlockTokens, BlockBytes = BlockBytes },
                cancellationToken: stop);
            using var hold = client.Hold(new HoldRequest { Session = attached.Session }, cancellationToken: stop);
            await hold.ResponseStream.MoveNext(stop);
            await using var arena = new FileStream(attached.ArenaPath, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            while (!stop.IsCancellationRequested)
                await RequestAsync(client, attached, arena, Tenants[random.Next(Tenants.Length)], TextOf(random), tally, stop);
        }
        catch (Exception error) when (error is RpcException or IOException or OperationCanceledException)
        {
            // Killed under us: that is the point.
        }
    }

    private static string TextOf(Random random)
    {
        // The same few texts for all tenants, of which most share beginnings.
        var text = new StringBuilder(SystemPrompt);
        for (var part = random.Next(1, 6); part > 0; part--)
            text.Append(random.Next(2) == 0 ? "Where is my order? " : "And why so late?   ");
        return text.ToString(0, text.Length / BlockTokens * BlockTokens);
    }

    private static async Task RequestAsync(
        Client client, AttachResponse attached, FileStream arena, string tenant, string text, CrashTally tally, CancellationToken stop)
    {
        var lookup = new LookupRequest { Session = attached.Session, Tenant = tenant, WaitMilliseconds = 2000 };
        lookup.Tokens.AddRange(text.Select(static letter => (uint)letter));
        var found = await client.LookupAsync(lookup, cancellationToken: stop);
        var bytes = new byte[BlockBytes];
        for (var block = 0; block < found.Blocks.Count; block++)
        {
            arena.Position = (long)(found.Blocks[block].Index * attached.SlotBytes);
            await arena.ReadExactlyAsync(bytes, stop);
            Check(bytes, tenant, text, block, tally);
        }

        var missing = (text.Length / BlockTokens) - found.Blocks.Count;
        if (missing > 0)
        {
            var reserved = await client.ReserveAsync(new ReserveRequest { Session = attached.Session, Tenant = tenant, Count = (uint)missing }, cancellationToken: stop);
            var end = found.Blocks.Count + reserved.Slots.Count;
            for (var index = 0; index < reserved.Slots.Count; index++)
            {
                arena.Position = (long)(reserved.Slots[index].Index * attached.SlotBytes);
                await arena.WriteAsync(BytesOf(tenant, text, found.Blocks.Count + index), stop);
            }

            if (reserved.Slots.Count > 0)
            {
                var commit = new CommitRequest { Session = attached.Session, Tenant = tenant, FirstBlock = (uint)found.Blocks.Count, Text = ByteString.CopyFromUtf8(text[..(end * BlockTokens)]) };
                commit.Tokens.AddRange(text.Take(end * BlockTokens).Select(static letter => (uint)letter));
                commit.TokenBytes.AddRange(Enumerable.Repeat(1u, end * BlockTokens));
                commit.Slots.AddRange(reserved.Slots);
                await client.CommitAsync(commit, cancellationToken: stop);
                Interlocked.Add(ref tally.Committed, reserved.Slots.Count);
            }
        }

        await client.ReleaseAsync(new ReleaseRequest { Session = attached.Session, Lease = found.Lease }, cancellationToken: stop);
    }

    private static void Check(byte[] bytes, string tenant, string text, int block, CrashTally tally)
    {
        Interlocked.Increment(ref tally.Read);
        if (bytes.AsSpan().SequenceEqual(BytesOf(tenant, text, block)))
            return;
        var foreign = Tenants.Any(other => other != tenant && bytes.AsSpan().SequenceEqual(BytesOf(other, text, block)));
        Interlocked.Increment(ref (foreign ? ref tally.Foreign : ref tally.Wrong));
    }

    private static byte[] BytesOf(string tenant, string text, int block)
    {
        var prefix = text[..((block + 1) * BlockTokens)];
        var owner = prefix.Length <= SystemPrompt.Length ? "everybody" : tenant;
        var bytes = new byte[BlockBytes];
        new Random(BitConverter.ToInt32(SHA256.HashData(Encoding.UTF8.GetBytes($"{owner}: {prefix}")))).NextBytes(bytes);
        return bytes;
    }

    private static GrpcChannel Connect(string socketPath) => GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
    {
        HttpHandler = UnixSockets.Handler(socketPath),
        DisposeHttpClient = true,
    });
}
