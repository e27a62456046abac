using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// AES-256-GCM for private blocks outside the arena. Nonce discipline: every block name has a key of its own (HKDF of
/// the tenant's key), and each time the block is sealed it gets a fresh random 96-bit nonce. The few times that one name
/// is sealed are far below the 2^32 uses that random nonces allow for a key. A sealed block may be moved as it is,
/// because neither key nor nonce depends on its place.
/// </summary>
internal static class BlockCipher
{
    public const int NonceSize = 12;
    public const int TagSize = 16;

    /// <summary>Encrypts a block.</summary>
    public static void Seal(TenantSecret tenant, BlockId id, ReadOnlySpan<byte> plain, Span<byte> cipher, Span<byte> nonce, Span<byte> tag)
    {
        RandomNumberGenerator.Fill(nonce);
        using var aes = Create(tenant, id);
        aes.Encrypt(nonce, plain, cipher, tag, Bound(id, plain.Length));
    }

    /// <summary>Decrypts a block. False: it is not what was sealed under this name; <paramref name="plain"/> then holds nothing of it.</summary>
    public static bool TryOpen(TenantSecret tenant, BlockId id, ReadOnlySpan<byte> cipher, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> tag, Span<byte> plain)
    {
        using var aes = Create(tenant, id);
        try
        {
            aes.Decrypt(nonce, cipher, tag, plain, Bound(id, cipher.Length));
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            return false;
        }
    }

    private static AesGcm Create(TenantSecret tenant, BlockId id)
    {
        Span<byte> info = stackalloc byte[BlockId.Size];
        Span<byte> key = stackalloc byte[32];
        id.Write(info);
        HKDF.Expand(HashAlgorithmName.SHA256, tenant.BlockKey, key, info);
        return new AesGcm(key, TagSize);
    }

    private static byte[] Bound(BlockId id, int length)
    {
        var data = new byte[BlockId.Size + sizeof(int)];
        id.Write(data);
        BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(BlockId.Size), length);
        return data;
    }
}
