using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Moebius.Inference.Checkpoints;

/// <summary>
/// Weights in MXFP4 (OCP Microscaling Formats 1.0): blocks of 32 values in e2m1, two in a byte, the low half first, with a
/// power of two for the block in e8m0. In bf16 all of them are exact but for those of 2^128 and more, which become infinite;
/// there are some at the scales 253 and 254 only.
/// </summary>
internal static class Mxfp4
{
    /// <summary>Values that share a scale.</summary>
    public const int Block = 32;

    /// <summary>Bytes of a block.</summary>
    public const int BlockBytes = Block / 2;

    /// <summary>The scale that is NaN.</summary>
    public const byte NaNScale = 255;

    private const int TableBytes = 32;

    private static readonly double[] Values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6];

    /// <summary>For each scale the low bytes of its 16 values in bf16, then the high ones: in this form one instruction looks up 16.</summary>
    private static readonly byte[] Tables = BuildTables();

    /// <summary>What a half byte stands for under a scale, in bf16.</summary>
    public static ushort Value(int half, byte scale) => scale == NaNScale
        ? HalfTypes.BFloat16NaN
        : HalfTypes.ToBFloat16((float)Math.ScaleB(Values[half], scale - 127));

    /// <summary>Blocks in bf16. Where a scale is NaN, its block is.</summary>
    /// <param name="blocks">16 bytes for each scale.</param>
    /// <param name="scales">e8m0.</param>
    /// <param name="to">32 values for each scale.</param>
    public static void ToBFloat16(ReadOnlySpan<byte> blocks, ReadOnlySpan<byte> scales, Span<ushort> to)
    {
        blocks = blocks[..(scales.Length * BlockBytes)];
        to = to[..(scales.Length * Block)];
        ref var from = ref MemoryMarshal.GetReference(blocks);
        ref var pairs = ref MemoryMarshal.GetReference(MemoryMarshal.Cast<ushort, uint>(to));
        for (var i = 0; i < scales.Length; i++)
        {
            var table = Tables.AsSpan(scales[i] * TableBytes, TableBytes);
            Vector128<byte> low = Vector128.Create<byte>(table), high = Vector128.Create<byte>(table[16..]);
            var block = Vector128.LoadUnsafe(ref from, (nuint)(i * BlockBytes));
            var first = Look(block & Vector128.Create((byte)0xF));
            var second = Look(Vector128.ShiftRightLogical(block, 4));
            for (var part = 0; part < 2; part++)
            {
                var (a, b) = part == 0 ? (first.Lower, second.Lower) : (first.Upper, second.Upper);
                var at = (nuint)((i * BlockBytes) + (part * 8));
                (Vector128.WidenLower(a) | Vector128.ShiftLeft(Vector128.WidenLower(b), 16)).StoreUnsafe(ref pairs, at);
                (Vector128.WidenUpper(a) | Vector128.ShiftLeft(Vector128.WidenUpper(b), 16)).StoreUnsafe(ref pairs, at + 4);
            }

            (Vector128<ushort> Lower, Vector128<ushort> Upper) Look(Vector128<byte> halves)
            {
                Vector128<byte> l = Vector128.Shuffle(low, halves), h = Vector128.Shuffle(high, halves);
                return (
                    Vector128.WidenLower(l) | Vector128.ShiftLeft(Vector128.WidenLower(h), 8),
                    Vector128.WidenUpper(l) | Vector128.ShiftLeft(Vector128.WidenUpper(h), 8));
            }
        }
    }

    private static byte[] BuildTables()
    {
        var tables = new byte[256 * TableBytes];
        for (var scale = 0; scale < 256; scale++)
        {
            for (var half = 0; half < 16; half++)
            {
                var value = Value(half, (byte)scale);
                tables[(scale * TableBytes) + half] = (byte)value;
                tables[(scale * TableBytes) + 16 + half] = (byte)(value >> 8);
            }
        }
        return tables;
    }
}
