using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;
using Grpc.Core;
using Moebius.Kvcache.V1;

namespace Moebius.KvCache.Tests.Service;

/// <summary>Calls in any order with any fields: a status code that is meant, nothing lost, nothing leaked.</summary>
[Trait("Category", "Component")]
public sealed class ServiceFuzzTests : IAsyncLifetime
{
    private static readonly StatusCode[] Meant = [StatusCode.OK, StatusCode.InvalidArgument, StatusCode.NotFound, StatusCode.FailedPrecondition];
    private TestServer _server = null!;

    public enum Verb
    {
        Lookup,
        Reserve,
        Commit,
        CommitReserved,
        Release,
        ReleaseLease,
        Evict,
        Attach,
        Hold,
    }

    public sealed record Call(Verb Verb, int Tenant, string Text, int Number, ulong Generation, bool Anonymous);

    public static Arbitrary<Call[]> Calls() =>
        (from verb in Gen.Elements(Enum.GetValues<Verb>())
         from tenant in Gen.Choose(0, 3)
         from letters in Gen.Elements('a', 'b').ListOf()
         from number in Gen.OneOf(Gen.Choose(-2, 20), Gen.Elements(int.MaxValue, int.MinValue, 64, 65))
         from generation in Gen.Choose(0, 3)
         from anonymous in Gen.Elements(true, false, false)
         select new Call(verb, tenant, string.Concat(letters.SelectMany(static letter => new string(letter, 2))), number, (ulong)generation, anonymous))
        .ListOf().Select(static calls => calls.ToArray()).ToArbitrary();

    public async ValueTask InitializeAsync() => _server = await TestServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Property(Arbitrary = [typeof(ServiceFuzzTests)], MaxTest = 60, EndSize = 60)]
    public async Task Any_calls_in_any_order(Call[] calls)
    {
        using (var client = await _server.Connect().AttachAsync())
        {
            var reserved = new Dictionary<int, List<Slot>>();
            var leases = new List<string>();
            foreach (var call in calls)
                Assert.Contains(await DoAsync(client, call, reserved, leases), Meant);
        }

        // The engine is gone: what it held comes back, what it cached stays.
        var stats = new StatsResponse();
        using var other = await _server.Connect().AttachAsync();
        await Eventually.TrueAsync(async () =>
        {
            await other.Api.EvictAsync(new EvictRequest { Session = other.Session });
            stats = await other.Api.StatsAsync(new StatsRequest());
            return stats.SlotsFree == stats.SlotsTotal;
        });
        Assert.Equal(0ul, stats.BlocksPrivate + stats.BlocksPublic);
    }

    private static async Task<StatusCode> DoAsync(TestClient client, Call call, Dictionary<int, List<Slot>> reserved, List<string> leases)
    {
        var tenant = call.Tenant == 0 ? "" : $"tenant-{call.Tenant}";
        var key = (call.Tenant * 2) + (call.Anonymous ? 1 : 0);
        var foreign = new Slot { Index = unchecked((uint)call.Number), Generation = call.Generation };
        try
        {
            switch (call.Verb)
            {
                case Verb.Lookup:
                    leases.Add((await client.LookupAsync(tenant, call.Text, call.Anonymous)).Lease);
                    break;
                case Verb.Reserve:
                    var slots = await client.ReserveAsync(tenant, call.Number, call.Anonymous);
                    reserved[key] = [.. reserved.GetValueOrDefault(key, []), .. slots];
                    break;
                case Verb.Commit:
                    var wild = client.Commit(tenant, call.Text, call.Number, [foreign], call.Anonymous);
                    wild.Text = ByteString.CopyFrom(new byte[call.Text.Length + (int)call.Generation]);
                    await client.Api.CommitAsync(wild);
                    break;
                case Verb.CommitReserved when reserved.TryGetValue(key, out var own) && own.Count > 0:
                    // Kept in the list: a second commit of the same slots is one of the mistakes.
                    var used = own.Take(Math.Min(own.Count, call.Text.Length / TestServer.BlockTokens)).ToArray();
                    var blocks = call.Text.Length / TestServer.BlockTokens;
                    await client.Api.CommitAsync(client.Commit(tenant, call.Text[..(blocks * TestServer.BlockTokens)], blocks - used.Length, used, call.Anonymous));
                    break;
                case Verb.Release:
                    await client.Api.ReleaseAsync(new ReleaseRequest { Session = client.Session, Lease = $"{call.Number}", Slots = { foreign } });
                    break;
                case Verb.ReleaseLease when leases.Count > 0:
                    // Again and again, too.
                    await client.Api.ReleaseAsync(new ReleaseRequest { Session = client.Session, Lease = leases[(call.Number & int.MaxValue) % leases.Count] });
                    break;
                case Verb.Evict:
                    await client.Api.EvictAsync(new EvictRequest { Session = call.Number < 0 ? "nobody" : client.Session, Tenant = tenant });
                    break;
                case Verb.Attach:
                    await client.Api.AttachAsync(new AttachRequest
                    {
                        ProtocolVersion = (uint)call.Generation,
                        Fingerprint = ByteString.CopyFrom(new byte[call.Anonymous ? 32 : call.Text.Length]),
                        BlockTokens = unchecked((uint)call.Number),
                        BlockBytes = unchecked((ulong)call.Number),
                        EngineId = call.Text,
                    });
                    break;
                case Verb.Hold:
                    using (var hold = client.Api.Hold(new HoldRequest { Session = "nobody" }))
                        await hold.ResponseStream.MoveNext(CancellationToken.None);
                    break;
            }

            return StatusCode.OK;
        }
        catch (RpcException error)
        {
            return error.StatusCode;
        }
    }
}
