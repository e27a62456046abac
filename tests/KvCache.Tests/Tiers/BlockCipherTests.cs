using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using FsCheck;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

public sealed class BlockCipherTests
{
    private static readonly TenantSecret Alice = SsdHarness.Master.Tenant("alice");

    [Property(MaxTest = 100)]
    public void What_was_sealed_opens_for_its_tenant_under_its_name_and_as_it_was(NonEmptyArray<byte> plain, NonNull<string> name)
    {
        var (id, other) = (Id(name.Get), Id(name.Get + "'"));
        var (cipher, nonce, tag) = Seal(id, plain.Get);
        Assert.Equal(plain.Get, Open(Alice, id, cipher, nonce, tag));
        Assert.Null(Open(Alice, other, cipher, nonce, tag));
        Assert.Null(Open(SsdHarness.Master.Tenant("bob"), id, cipher, nonce, tag));
        Assert.Null(Open(Alice, id, cipher[..^1], nonce, tag));
        cipher[0] ^= 1;
        Assert.Null(Open(Alice, id, cipher, nonce, tag));
    }

    [Fact]
    public void Every_name_has_a_key_of_its_own_and_is_authenticated_with_its_block()
    {
        var id = Id("a block");
        var plain = "some keys and values"u8.ToArray();
        var (cipher, nonce, tag) = Seal(id, plain);
        var name = new byte[BlockId.Size];
        id.Write(name);
        var length = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, plain.Length);

        using var aes = new AesGcm(HKDF.Expand(HashAlgorithmName.SHA256, Alice.BlockKey, 32, name), BlockCipher.TagSize);
        var opened = new byte[plain.Length];
        aes.Decrypt(nonce, cipher, tag, opened, (byte[])[.. name, .. length]);
        Assert.Equal(plain, opened);
    }

    [Fact]
    public void No_nonce_comes_twice()
    {
        var nonces = Enumerable.Range(0, 1000).Select(_ => Convert.ToHexString(Seal(Id("a block"), [1]).Nonce));
        Assert.Equal(1000, nonces.Distinct().Count());
    }

    private static BlockId Id(string name) => BlockId.Read(SHA256.HashData(Encoding.UTF8.GetBytes(name)));

    private static (byte[] Cipher, byte[] Nonce, byte[] Tag) Seal(BlockId id, byte[] plain)
    {
        var (cipher, nonce, tag) = (new byte[plain.Length], new byte[BlockCipher.NonceSize], new byte[BlockCipher.TagSize]);
        BlockCipher.Seal(Alice, id, plain, cipher, nonce, tag);
        return (cipher, nonce, tag);
    }

    private static byte[]? Open(TenantSecret tenant, BlockId id, byte[] cipher, byte[] nonce, byte[] tag)
    {
        var plain = new byte[cipher.Length];
        return BlockCipher.TryOpen(tenant, id, cipher, nonce, tag, plain) ? plain : null;
    }
}
