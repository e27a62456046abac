using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;
using ArmAes = System.Runtime.Intrinsics.Arm.Aes;
using Sse = System.Runtime.Intrinsics.X86.Sse;
using X86Aes = System.Runtime.Intrinsics.X86.Aes;

namespace Moebius.KvCache.Index;

/// <summary>
/// Keys of a prompt's blocks, in one pass. The 16-byte pieces of a block are whitened with a secret of their place, go
/// through four secret AES rounds side by side and are added up; the sum is added to the key of the block before it,
/// and two more rounds give the block's key. Where the processor has no AES instructions, HMAC-SHA-256 takes the place of
/// the rounds: keys never leave the process, so the two need not agree.
/// </summary>
internal sealed class BlockHasher
{
    private const int LaneTokens = 4;

    /// <summary>
    /// How far ahead the tokens are asked for: 4 KiB. Memory answers after the time of some forty blocks; with 1 KiB it is
    /// waited for.
    /// </summary>
    private const int AheadVectors = 256;

    private readonly int _blockTokens;
    private readonly Vector128<byte>[] _whitening;
    private readonly Vector128<byte> _start;
    private readonly Vector128<byte> _first;
    private readonly Vector128<byte> _second;
    private readonly Vector128<byte> _third;
    private readonly Vector128<byte> _fourth;
    private readonly Vector128<byte> _fifth;
    private readonly Vector128<byte> _sixth;
    private readonly byte[] _hmacKey;
    private readonly bool _hasAes;

    /// <param name="blockTokens">Tokens of a block.</param>
    /// <param name="portable">Do without AES instructions; for tests.</param>
    public BlockHasher(int blockTokens, bool portable = false)
    {
        _blockTokens = blockTokens;
        _whitening = Random((blockTokens + LaneTokens - 1) / LaneTokens);
        var keys = Random(7);
        (_start, _first, _second, _third, _fourth, _fifth, _sixth) = (keys[0], keys[1], keys[2], keys[3], keys[4], keys[5], keys[6]);
        _hmacKey = RandomNumberGenerator.GetBytes(32);
        _hasAes = !portable && (X86Aes.IsSupported || ArmAes.IsSupported);
    }

    /// <summary>Keys of the leading <paramref name="keys"/>.Length blocks.</summary>
    public void Compute(ReadOnlySpan<uint> tokens, Span<BlockKey> keys)
    {
        if (!_hasAes)
            ComputePortable(tokens, keys);
        else if (_blockTokens == 4 * LaneTokens)
            ComputeFourLanes(tokens, keys);
        else
            ComputeAnyLanes(tokens, keys);
    }

    private unsafe void ComputeFourLanes(ReadOnlySpan<uint> tokens, Span<BlockKey> keys)
    {
        ref var source = ref Unsafe.As<uint, Vector128<byte>>(ref MemoryMarshal.GetReference(tokens[..(keys.Length * _blockTokens)]));
        var (k1, k2, k3, k4, k5, k6) = (_first, _second, _third, _fourth, _fifth, _sixth);
        var (w0, w1, w2, w3) = (_whitening[0], _whitening[1], _whitening[2], _whitening[3]);
        var chain = _start;
        // A prompt lies in memory, not in a cache, and hardware looks ahead within a page only. A hint never faults.
        var end = 4 * keys.Length;
        for (var ahead = 0; ahead < Math.Min(AheadVectors, end) && Sse.IsSupported; ahead += 4)
            Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref source, ahead)));
        for (var block = 0; block < keys.Length; block++)
        {
            if (Sse.IsSupported && (block * 4) + AheadVectors < end)
                Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref source, (block * 4) + AheadVectors)));
            var a = Unsafe.Add(ref source, block * 4) ^ w0;
            var b = Unsafe.Add(ref source, (block * 4) + 1) ^ w1;
            var c = Unsafe.Add(ref source, (block * 4) + 2) ^ w2;
            var d = Unsafe.Add(ref source, (block * 4) + 3) ^ w3;
            (a, b, c, d) = (Round(a, k1), Round(b, k1), Round(c, k1), Round(d, k1));
            (a, b, c, d) = (Round(a, k2), Round(b, k2), Round(c, k2), Round(d, k2));
            (a, b, c, d) = (Round(a, k3), Round(b, k3), Round(c, k3), Round(d, k3));
            (a, b, c, d) = (Round(a, k4), Round(b, k4), Round(c, k4), Round(d, k4));
            chain = Round(Round(chain ^ (a ^ b ^ (c ^ d)), k5), k6);
            keys[block] = Unsafe.BitCast<Vector128<byte>, BlockKey>(chain);
        }
    }

    private void ComputeAnyLanes(ReadOnlySpan<uint> tokens, Span<BlockKey> keys)
    {
        Span<uint> last = stackalloc uint[LaneTokens];
        var chain = _start;
        for (var block = 0; block < keys.Length; block++)
        {
            var rest = tokens.Slice(block * _blockTokens, _blockTokens);
            var sum = chain;
            for (var lane = 0; lane < _whitening.Length; lane++, rest = rest[Math.Min(LaneTokens, rest.Length)..])
            {
                last.Clear();
                rest[..Math.Min(LaneTokens, rest.Length)].CopyTo(last);
                var value = Vector128.Create<uint>(last).AsByte() ^ _whitening[lane];
                sum ^= Round(Round(Round(Round(value, _first), _second), _third), _fourth);
            }

            chain = Round(Round(sum, _fifth), _sixth);
            keys[block] = Unsafe.BitCast<Vector128<byte>, BlockKey>(chain);
        }
    }

    private void ComputePortable(ReadOnlySpan<uint> tokens, Span<BlockKey> keys)
    {
        const int KeyBytes = 16;
        var input = ArrayPool<byte>.Shared.Rent(KeyBytes + (_blockTokens * sizeof(uint)));
        Span<byte> digest = stackalloc byte[HMACSHA256.HashSizeInBytes];
        digest.Clear();
        for (var block = 0; block < keys.Length; block++)
        {
            digest[..KeyBytes].CopyTo(input);
            MemoryMarshal.AsBytes(tokens.Slice(block * _blockTokens, _blockTokens)).CopyTo(input.AsSpan(KeyBytes));
            HMACSHA256.HashData(_hmacKey, input.AsSpan(0, KeyBytes + (_blockTokens * sizeof(uint))), digest);
            keys[block] = MemoryMarshal.Read<BlockKey>(digest);
        }

        ArrayPool<byte>.Shared.Return(input, clearArray: true);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Round(Vector128<byte> value, Vector128<byte> key) => X86Aes.IsSupported
        ? X86Aes.Encrypt(value, key)
        : ArmAes.MixColumns(ArmAes.Encrypt(value, Vector128<byte>.Zero)) ^ key;

    private static Vector128<byte>[] Random(int count)
    {
        var vectors = new Vector128<byte>[count];
        RandomNumberGenerator.Fill(MemoryMarshal.AsBytes(vectors.AsSpan()));
        return vectors;
    }
}
