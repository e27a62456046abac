using System.Buffers.Binary;

namespace Moebius.KvCache.Tiers;

/// <summary>
/// Names a block outside the arena: 256 bits over the model, all tokens from position 0 and the visibility domain. Equal
/// names mean equal KV bytes that the same tenants may see.
/// </summary>
internal readonly record struct BlockId(ulong A, ulong B, ulong C, ulong D)
{
    public const int Size = 32;

    public static BlockId Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(source),
        BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[24..]));

    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, A);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], B);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], C);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], D);
    }

    // The output of a hash function: any part of it is as good as all of it.
    public override int GetHashCode() => (int)A;

    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        Write(bytes);
        return Convert.ToHexStringLower(bytes);
    }
}
