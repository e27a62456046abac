using System.Runtime.InteropServices;

namespace Moebius.KvCache.Index;

/// <summary>
/// A seeded 64-bit hash of one block of tokens. Only a shortcut to a candidate: the tokens themselves are always
/// compared, so a collision costs a cache entry and never a wrong answer. The seed is random per root, which keeps
/// collisions out of a client's reach.
/// </summary>
internal static class BlockHash
{
    public static ulong Compute(ReadOnlySpan<uint> tokens, ulong seed)
    {
        var hash = seed ^ ((ulong)tokens.Length * 0x9E3779B97F4A7C15);
        var pairs = MemoryMarshal.Cast<uint, ulong>(tokens);
        foreach (var pair in pairs)
            hash = Mix(hash ^ pair, 0xA0761D6478BD642F);
        if ((tokens.Length & 1) != 0)
            hash = Mix(hash ^ tokens[^1], 0xE7037ED1A0B428DB);
        return Mix(hash, 0x8EBC6AF09C88C6E3);
    }

    private static ulong Mix(ulong left, ulong right)
    {
        var high = Math.BigMul(left, right, out var low);
        return high ^ low;
    }
}
