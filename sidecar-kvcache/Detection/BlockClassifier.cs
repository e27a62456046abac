using Moebius.KvCache.Index;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Detection;

/// <summary>What detection says about the blocks of a prompt.</summary>
/// <param name="PrivateFrom">First block that a finding touches; it and all after it stay private. Int32.MaxValue: none.</param>
/// <param name="PublicUpTo">Leading blocks that may be shared.</param>
/// <param name="Reason">Why they may be; null when there are none.</param>
internal readonly record struct BlockVerdict(int PrivateFrom, int PublicUpTo, PublicReason? Reason);

/// <summary>Maps what a policy finds in a text onto the blocks that hold the text. Pure.</summary>
internal static class BlockClassifier
{
    /// <summary>
    /// How far before the first undecided block reading starts again, in bytes. A finding that began earlier than this
    /// has already made everything after it private.
    /// </summary>
    public const int LookBehind = 4096;

    /// <summary>Classifies the blocks from <paramref name="firstUndecided"/> on.</summary>
    public static BlockVerdict Classify(
        CompiledPolicy policy, ReadOnlySpan<byte> text, IReadOnlyList<uint> tokenBytes, int blockTokens, int firstUndecided)
    {
        var declared = policy.DeclaredPrefixOf(text, out var declaredBytes);
        var declaredBlocks = DeclaredBlocks(tokenBytes, blockTokens, declaredBytes);

        long start = 0;
        for (var token = 0; token < firstUndecided * blockTokens; token++)
            start += tokenBytes[token];
        var reading = TokenText.Create(text, tokenBytes, (int)Math.Max(0, start - LookBehind));

        var privateFrom = int.MaxValue;
        foreach (var finding in policy.Detector.Scan(reading.Text))
        {
            // What is declared public is public with all that it says; what runs on beyond it is the tenant's.
            if (reading.ByteAt(finding.End) > declaredBytes)
                privateFrom = Math.Min(privateFrom, reading.TokenAt(finding.Start) / blockTokens);
        }

        var publicUpTo = Math.Min(declaredBlocks, privateFrom);
        return new BlockVerdict(privateFrom, publicUpTo, publicUpTo > 0 ? new PublicReason(declared!.Digest) : null);
    }

    /// <summary>Leading blocks that lie in the declared text with every token.</summary>
    public static int DeclaredBlocks(IReadOnlyList<uint> tokenBytes, int blockTokens, int declaredBytes)
    {
        long start = 0;
        var token = 0;
        // A special token right behind the text is not part of it, hence the first comparison.
        for (; token < tokenBytes.Count && start < declaredBytes && start + tokenBytes[token] <= declaredBytes; token++)
            start += tokenBytes[token];
        return token / blockTokens;
    }
}
