using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

public sealed class MasterSecretTests
{
    /// <summary>Worked out from RFC 5869 by another program. What is on disk and in the shared tier is found and opened with these.</summary>
    [Fact]
    public void The_keys_of_a_secret_never_change()
    {
        var master = new MasterSecret([.. Enumerable.Range(0, 32).Select(value => (byte)value)]);
        var alice = master.Tenant("alice");
        Assert.Equal("40b5a5f6fad24afb466c34a2bf69d42abdf77b03dbbcd88580033b2a53b039fa", Convert.ToHexStringLower(master.TenantSalt));
        Assert.Equal("0a17c0a370edaa76d48f5a5720358bd13f1db2e447e3fe1f4bb992372110b6a1", Convert.ToHexStringLower(master.PublicNameKey));
        Assert.Equal("e8995e2aa695aaef6b6047fb5517f942baf480f36b4b1ed3e3c108c8a0fc6c25", Convert.ToHexStringLower(master.Origins.BlockKey));
        Assert.Equal(0xba423062f43b3646, master.Check);
        Assert.Equal("2fdc5d206439529465bd0d05ff2b2667166d243674dd8b812460e38074052911", Convert.ToHexStringLower(alice.NameKey));
        Assert.Equal("da1b6eb124a1fbf7d1591684cbf7cf37082f7ec6677b75f3f2efcdff3ed7c43d", Convert.ToHexStringLower(alice.BlockKey));
    }
}
