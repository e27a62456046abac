using System.Buffers.Binary;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// What a segment's directory says about one block; 256 bytes, closed by a CRC-32C of their own. It holds neither text
/// nor a tenant's name.
/// </summary>
internal sealed record SegmentRecord
{
    public const int Size = 256;

    private const uint Magic = 0x45564B4D;
    private const ushort Version = 1;
    private const byte IsPublic = 1;
    private const byte IsCleared = 2;
    private const byte IsDeclared = 4;
    private const byte HasClearance = 8;
    private const byte IsUndecided = 16;

    // Where its flags are.
    private const int FlagsOffset = 100;

    // Written since public blocks have an origin. Who does not know it reads the record as one without.
    private const byte HasOrigin = 32;
    private const int OriginSize = 2 * sizeof(ulong);
    private const int SealSize = BlockCipher.NonceSize + BlockCipher.TagSize;

    public required TierBlock Block { get; init; }

    /// <summary>Grows with every record: of two with the same name the later counts.</summary>
    public required ulong Sequence { get; init; }

    /// <summary>Where the body begins in the data file, in bytes.</summary>
    public required long Offset { get; init; }

    /// <summary>Bytes of the body without padding.</summary>
    public required int Length { get; init; }

    /// <summary>CRC-32C of the body as it is stored.</summary>
    public required uint BodyCrc { get; init; }

    /// <summary>Milliseconds since 1970.</summary>
    public required long WrittenAt { get; init; }

    /// <summary>Nonce and tag of a private block; of a public one those of its origin and the origin itself, or nothing.</summary>
    public required byte[] Seal { get; init; }

    /// <summary>Bytes that the body takes in the data file.</summary>
    public int StoredBytes => (int)DirectFile.AlignUp(Length);

    /// <summary>Whether a reason can be written down: a declaration or a clearance must be a SHA-256 in hexadecimal, and there is room for one.</summary>
    public static bool CanHold(PublicReason? reason) =>
        (reason?.Declaration is null || reason.Clearance is null)
        && ((reason?.Declaration ?? reason?.Clearance) is not { } digest || (digest.Length == 64 && digest.All(char.IsAsciiHexDigitLower)));

    /// <summary>Writes a block's body as it is stored: a public one as it is, a private one sealed.</summary>
    /// <param name="block">What it is.</param>
    /// <param name="body">Its KV bytes.</param>
    /// <param name="secret">The owner's keys, required for a private block; for a public one those of origins, without which it has none.</param>
    /// <param name="stored">As long as the body.</param>
    /// <param name="writtenAt">Milliseconds since 1970.</param>
    /// <param name="sequence">Its number among records.</param>
    /// <returns>What says so, for a body at the beginning of the data.</returns>
    public static SegmentRecord Store(in TierBlock block, ReadOnlySpan<byte> body, TenantSecret? secret, Span<byte> stored, long writtenAt, ulong sequence = 0)
    {
        byte[] seal = [];
        if (block.IsPublic)
        {
            body.CopyTo(stored);
            if (block.Origin is { } origin && secret is not null)
                seal = SealOrigin(secret, block.Id, origin);
        }
        else
        {
            seal = new byte[SealSize];
            BlockCipher.Seal(secret!, block.Id, body, stored, seal.AsSpan(0, BlockCipher.NonceSize), seal.AsSpan(BlockCipher.NonceSize));
        }

        return new SegmentRecord
        {
            Block = block,
            Sequence = sequence,
            Offset = 0,
            Length = body.Length,
            BodyCrc = Crc32C.Compute(stored),
            WrittenAt = writtenAt,
            Seal = seal,
        };
    }

    /// <summary>Reads a body that <see cref="Store"/> wrote. False: it is damaged, or sealed with other keys.</summary>
    /// <param name="stored">The body as it is stored.</param>
    /// <param name="secret">The owner's keys; required for a private block.</param>
    /// <param name="target">As long as the body.</param>
    public bool TryRestore(ReadOnlySpan<byte> stored, TenantSecret? secret, Span<byte> target)
    {
        if (Crc32C.Compute(stored) != BodyCrc)
            return false;
        if (!Block.IsPublic)
            return secret is not null && BlockCipher.TryOpen(secret, Block.Id, stored, Seal.AsSpan(0, BlockCipher.NonceSize), Seal.AsSpan(BlockCipher.NonceSize), target);
        stored.CopyTo(target);
        return true;
    }

    /// <summary>Who committed a public block. Null: nobody known, or sealed with another secret.</summary>
    /// <param name="origins">What origins are sealed with; null: a block of this process's own still says.</param>
    public TenantKey? OriginUnder(TenantSecret? origins)
    {
        if (Block.Origin is not null || !Block.IsPublic || Seal.Length == 0 || origins is null)
            return Block.Origin;
        Span<byte> plain = stackalloc byte[OriginSize];
        return BlockCipher.TryOpen(origins, Block.Id, Seal.AsSpan(SealSize), Seal.AsSpan(0, BlockCipher.NonceSize), Seal.AsSpan(BlockCipher.NonceSize, BlockCipher.TagSize), plain)
            ? new TenantKey(BinaryPrimitives.ReadUInt64LittleEndian(plain), BinaryPrimitives.ReadUInt64LittleEndian(plain[sizeof(ulong)..]))
            : null;
    }

    public void Encode(Span<byte> target)
    {
        target[..Size].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(target, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(target[4..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Sequence);
        Block.Id.Write(target[16..]);
        Block.Model.Write(target[48..]);
        BinaryPrimitives.WriteUInt64LittleEndian(target[80..], Block.Owner.High);
        BinaryPrimitives.WriteUInt64LittleEndian(target[88..], Block.Owner.Low);
        BinaryPrimitives.WriteInt32LittleEndian(target[96..], Block.Depth);
        if (Block.Reason is { } reason)
        {
            target[FlagsOffset] = (byte)(IsPublic | (reason.IsCleared ? IsCleared : 0) | (reason.Declaration is null ? 0 : IsDeclared) | (reason.Clearance is null ? 0 : HasClearance)
                | (Seal.Length == 0 ? 0 : HasOrigin));
            if ((reason.Declaration ?? reason.Clearance) is { } digest)
                Convert.FromHexString(digest, target[104..136], out _, out _);
        }

        else if (Block.IsUndecided)
        {
            target[FlagsOffset] = IsUndecided;
        }

        BinaryPrimitives.WriteInt64LittleEndian(target[136..], Offset);
        BinaryPrimitives.WriteInt32LittleEndian(target[144..], Length);
        BinaryPrimitives.WriteUInt32LittleEndian(target[148..], BodyCrc);
        BinaryPrimitives.WriteInt64LittleEndian(target[152..], WrittenAt);
        Seal.CopyTo(target[160..]);
        BinaryPrimitives.WriteUInt32LittleEndian(target[(Size - 4)..], Crc32C.Compute(target[..(Size - 4)]));
    }

    /// <summary>Reads a record. Null: torn, damaged, dropped, or of a version not known here.</summary>
    public static SegmentRecord? Decode(ReadOnlySpan<byte> source)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(source) != Magic
            || BinaryPrimitives.ReadUInt16LittleEndian(source[4..]) != Version
            || BinaryPrimitives.ReadUInt32LittleEndian(source[(Size - 4)..]) != Crc32C.Compute(source[..(Size - 4)]))
            return null;
        var flags = source[FlagsOffset];
        var digest = (flags & (IsDeclared | HasClearance)) == 0 ? null : Convert.ToHexStringLower(source[104..136]);
        var reason = (flags & IsPublic) == 0 ? null : new PublicReason(
            (flags & IsDeclared) == 0 ? null : digest, (flags & IsCleared) != 0, (flags & HasClearance) == 0 ? null : digest);
        var record = new SegmentRecord
        {
            Block = new TierBlock(
                BlockId.Read(source[16..]),
                BlockId.Read(source[48..]),
                new TenantKey(BinaryPrimitives.ReadUInt64LittleEndian(source[80..]), BinaryPrimitives.ReadUInt64LittleEndian(source[88..])),
                reason,
                BinaryPrimitives.ReadInt32LittleEndian(source[96..]),
                (flags & IsUndecided) != 0),
            Sequence = BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            Offset = BinaryPrimitives.ReadInt64LittleEndian(source[136..]),
            Length = BinaryPrimitives.ReadInt32LittleEndian(source[144..]),
            BodyCrc = BinaryPrimitives.ReadUInt32LittleEndian(source[148..]),
            WrittenAt = BinaryPrimitives.ReadInt64LittleEndian(source[152..]),
            Seal = source.Slice(160, reason is null ? SealSize : (flags & HasOrigin) != 0 ? SealSize + OriginSize : 0).ToArray(),
        };
        return record.Length > 0 && record.Offset >= 0 && record.Offset % DirectFile.Alignment == 0 ? record : null;
    }

    private static byte[] SealOrigin(TenantSecret origins, BlockId id, TenantKey origin)
    {
        var seal = new byte[SealSize + OriginSize];
        Span<byte> plain = stackalloc byte[OriginSize];
        BinaryPrimitives.WriteUInt64LittleEndian(plain, origin.High);
        BinaryPrimitives.WriteUInt64LittleEndian(plain[sizeof(ulong)..], origin.Low);
        BlockCipher.Seal(origins, id, plain, seal.AsSpan(SealSize), seal.AsSpan(0, BlockCipher.NonceSize), seal.AsSpan(BlockCipher.NonceSize, BlockCipher.TagSize));
        return seal;
    }
}
