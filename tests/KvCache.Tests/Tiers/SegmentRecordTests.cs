using System.Security.Cryptography;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

public sealed class SegmentRecordTests
{
    private static readonly MasterSecret Other = new(SHA256.HashData("another"u8));

    [Fact]
    public void A_public_blocks_origin_is_known_to_who_has_the_secret_and_to_nobody_else()
    {
        var alice = SsdHarness.Owner("alice");
        var encoded = Encoded(SsdHarness.Master.Origins);
        var record = SegmentRecord.Decode(encoded)!;
        Assert.Null(record.Block.Origin);
        Assert.Equal(alice, record.OriginUnder(SsdHarness.Master.Origins));
        Assert.Null(record.OriginUnder(Other.Origins));
        Assert.Null(record.OriginUnder(null));
        Assert.Equal(-1, encoded.AsSpan().IndexOf(BitConverter.GetBytes(alice.Low)));
        Assert.Equal(-1, encoded.AsSpan().IndexOf(BitConverter.GetBytes(alice.High)));

        // Another block's.
        Assert.Null((record with { Block = SsdHarness.Block("b") }).OriginUnder(SsdHarness.Master.Origins));
        // Moved with its block, also by a process without the secret.
        record.Encode(encoded);
        Assert.Equal(alice, SegmentRecord.Decode(encoded)!.OriginUnder(SsdHarness.Master.Origins));
    }

    [Fact]
    public void A_record_from_before_origins_is_read_as_one_without()
    {
        var encoded = Encoded(origins: null);
        // All that was written there then.
        Assert.True(encoded.AsSpan(160, 92).IndexOfAnyExcept((byte)0) < 0);
        var record = SegmentRecord.Decode(encoded)!;
        Assert.True(record.Block.IsPublic);
        Assert.Null(record.OriginUnder(SsdHarness.Master.Origins));
    }

    private static byte[] Encoded(TenantSecret? origins)
    {
        var block = SsdHarness.Block("a") with { Origin = SsdHarness.Owner("alice") };
        var encoded = new byte[SegmentRecord.Size];
        SegmentRecord.Store(block, SsdHarness.Body(block), origins, new byte[1000], 0).Encode(encoded);
        return encoded;
    }
}
