using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// The blocks of one prompt, named. Block i's digest is SHA-256 over the digest before it and the block's tokens; the
/// first one follows the model's. A name is an HMAC of the digest: in the public domain under a key of the mounted secret,
/// or a fixed one without a secret; in a private one under the tenant's own key. So names say nothing about texts to who
/// has not that key.
/// </summary>
internal sealed class BlockChain
{
    private readonly byte[] _digests;
    private readonly byte[]? _publicKey;

    private BlockChain(BlockId model, byte[] digests, byte[]? publicKey)
    {
        Model = model;
        _digests = digests;
        _publicKey = publicKey;
    }

    /// <summary>Names the model and the block layout.</summary>
    public BlockId Model { get; }

    /// <summary>Blocks in the chain.</summary>
    public int Count => _digests.Length / SHA256.HashSizeInBytes;

    private static ReadOnlySpan<byte> FixedKey => "moebius kv cache: public block"u8;

    /// <summary>Names a model.</summary>
    public static BlockId NameOf(ModelKey model)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(FormattableString.Invariant($"moebius kv cache 1 {model.Fingerprint} {model.BlockTokens} {model.BlockBytes}")), digest);
        return BlockId.Read(digest);
    }

    /// <summary>Names the full blocks of a prompt.</summary>
    /// <param name="model">The model whose blocks they are.</param>
    /// <param name="tokens">Token ids from position 0; a trailing partial block is ignored.</param>
    /// <param name="master">The mounted secret; null: there is none.</param>
    public static BlockChain Of(ModelKey model, ReadOnlySpan<uint> tokens, MasterSecret? master = null)
    {
        var name = NameOf(model);
        var blocks = tokens.Length / model.BlockTokens;
        var digests = new byte[blocks * SHA256.HashSizeInBytes];
        var input = new byte[SHA256.HashSizeInBytes + (model.BlockTokens * sizeof(uint))];
        name.Write(input);
        for (var block = 0; block < blocks; block++)
        {
            Copy(tokens.Slice(block * model.BlockTokens, model.BlockTokens), input.AsSpan(SHA256.HashSizeInBytes));
            var digest = digests.AsSpan(block * SHA256.HashSizeInBytes, SHA256.HashSizeInBytes);
            SHA256.HashData(input, digest);
            digest.CopyTo(input);
        }

        return new BlockChain(name, digests, master?.PublicNameKey);
    }

    /// <summary>The block's name where every tenant may see it.</summary>
    public BlockId Public(int block) => Name(_publicKey ?? FixedKey, block);

    /// <summary>The block's name where only one tenant may see it.</summary>
    public BlockId Private(int block, TenantSecret tenant) => Name(tenant.NameKey, block);

    private BlockId Name(ReadOnlySpan<byte> key, int block)
    {
        Span<byte> name = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, _digests.AsSpan(block * SHA256.HashSizeInBytes, SHA256.HashSizeInBytes), name);
        return BlockId.Read(name);
    }

    // Names are exchanged between machines: token ids are little-endian everywhere.
    private static void Copy(ReadOnlySpan<uint> tokens, Span<byte> target)
    {
        if (BitConverter.IsLittleEndian)
        {
            MemoryMarshal.AsBytes(tokens).CopyTo(target);
            return;
        }

        for (var index = 0; index < tokens.Length; index++)
            BinaryPrimitives.WriteUInt32LittleEndian(target[(index * sizeof(uint))..], tokens[index]);
    }
}
