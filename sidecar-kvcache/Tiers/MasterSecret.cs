using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Moebius.Crds;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// The mounted secret from which every tenant's keys are derived (HKDF-SHA-256, RFC 5869). Neither it nor anything
/// derived from it is written anywhere.
/// </summary>
internal sealed class MasterSecret
{
    public const int MinimumBytes = 32;

    private readonly byte[] _key;

    public MasterSecret(ReadOnlySpan<byte> material)
    {
        if (material.Length < MinimumBytes)
            throw new ArgumentException($"{material.Length} bytes, must be at least {MinimumBytes}", nameof(material));
        _key = new byte[SHA256.HashSizeInBytes];
        HKDF.Extract(HashAlgorithmName.SHA256, material, "moebius kv cache 1"u8, _key);
        TenantSalt = HKDF.Expand(HashAlgorithmName.SHA256, _key, 32, "tenant salt"u8.ToArray());
        PublicNameKey = HKDF.Expand(HashAlgorithmName.SHA256, _key, 32, "public names"u8.ToArray());
        Origins = new TenantSecret([], HKDF.Expand(HashAlgorithmName.SHA256, _key, 32, "origins"u8.ToArray()));
        Check = BinaryPrimitives.ReadUInt64LittleEndian(HKDF.Expand(HashAlgorithmName.SHA256, _key, 8, "check"u8.ToArray()));
    }

    /// <summary>Salt for tenants' names in memory and on disk: the same after a restart.</summary>
    public byte[] TenantSalt { get; }

    /// <summary>What public blocks are named with.</summary>
    public byte[] PublicNameKey { get; }

    /// <summary>What the origins of public blocks are sealed with.</summary>
    public TenantSecret Origins { get; }

    /// <summary>Tells whether stored blocks belong to this secret; reveals nothing about it.</summary>
    public ulong Check { get; }

    /// <summary>Reads the secret as it is, byte for byte.</summary>
    /// <exception cref="UserInputException">Unreadable or too short.</exception>
    public static MasterSecret Load(string path)
    {
        byte[] material;
        try
        {
            material = File.ReadAllBytes(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"--encryption-key: cannot read '{path}': {error.Message}", error);
        }

        if (material.Length < MinimumBytes)
            throw new UserInputException($"--encryption-key: '{path}' holds {material.Length} bytes, must hold at least {MinimumBytes} random ones");
        return new MasterSecret(material);
    }

    public TenantSecret Tenant(string tenant)
    {
        var label = "tenant\0"u8;
        var info = new byte[label.Length + Encoding.UTF8.GetByteCount(tenant)];
        label.CopyTo(info);
        Encoding.UTF8.GetBytes(tenant, info.AsSpan(label.Length));
        var keys = HKDF.Expand(HashAlgorithmName.SHA256, _key, 64, info);
        return new TenantSecret(keys[..32], keys[32..]);
    }
}

/// <summary>One tenant's keys: for naming its blocks, and for deriving the key of each block.</summary>
internal sealed class TenantSecret(byte[] nameKey, byte[] blockKey)
{
    public ReadOnlySpan<byte> NameKey => nameKey;

    public byte[] BlockKey => blockKey;
}
