using Moebius.Crds.Privacy;
using Moebius.KvCache.Detection.Classifier;
using Moebius.KvCache.Policy;

namespace Moebius.KvCache.Detection;

/// <summary>What detection says about the blocks of a prompt.</summary>
/// <param name="PrivateFrom">First block that stays private for good, with all after it. Int32.MaxValue: none.</param>
/// <param name="Declared">Leading blocks that are public by declaration.</param>
/// <param name="PublicUpTo">Leading blocks that may be shared, declared or cleared.</param>
/// <param name="Declaration">Digest of the declared text; null when there is none.</param>
/// <param name="Reason">The tier that gave the earliest cause for privacy; means nothing when there is none.</param>
internal readonly record struct BlockVerdict(int PrivateFrom, int Declared, int PublicUpTo, string? Declaration, PrivateReason Reason = PrivateReason.Rules);

/// <summary>Which tier keeps text private.</summary>
internal enum PrivateReason
{
    /// <summary>A rule found something.</summary>
    Rules,

    /// <summary>Tier 2 called it private, or left it open where nobody else is asked.</summary>
    Classifier,

    /// <summary>Tier 3 called it private, or gave no verdict.</summary>
    Context,
}

/// <summary>
/// Reads the blocks of one commit that nothing is known about and maps what the tiers find in their text onto them:
/// <see cref="Passages"/> go to the tiers above the rules, <see cref="Decide"/> turns their judgements into a verdict.
/// Pure.
/// </summary>
internal sealed class BlockClassifier
{
    /// <summary>
    /// How far before the first undecided block reading starts again, in bytes. A finding that began earlier than this
    /// has already made everything after it private. The longest match of an expression, in characters of three bytes.
    /// </summary>
    public const int LookBehind = 3 * WindowedExpression.Overlap;

    /// <summary>Most passages of one commit that the upper tiers read; what comes after them stays private.</summary>
    public const int MaxPassages = 1024;

    private readonly TokenText _text;
    private readonly IReadOnlyList<uint> _tokenBytes;
    private readonly int _blockTokens;
    private readonly string? _declaration;
    private readonly int _declaredBlocks;
    private readonly int _privateFrom = int.MaxValue;
    private readonly int _stop;
    private readonly bool _classifies;
    private readonly List<Passage> _passages = [];

    /// <param name="policy">What to look for.</param>
    /// <param name="text">UTF-8 of the whole prompt so far.</param>
    /// <param name="tokenBytes">How many bytes are each token's own.</param>
    /// <param name="blockTokens">Tokens of a block.</param>
    /// <param name="undecided">First block that nothing is known about yet.</param>
    /// <param name="publicBlocks">Leading blocks that are public already.</param>
    public BlockClassifier(CompiledPolicy policy, ReadOnlySpan<byte> text, IReadOnlyList<uint> tokenBytes, int blockTokens, int undecided, int publicBlocks)
    {
        (_tokenBytes, _blockTokens, _classifies) = (tokenBytes, blockTokens, policy.Tiers.Classifier is not null);
        _declaration = policy.DeclaredPrefixOf(text, out var declaredBytes)?.Digest;
        _declaredBlocks = DeclaredBlocks(tokenBytes, blockTokens, declaredBytes);

        // Where more may become public, all is read that is not. Where nothing can, what was read before stays as it is:
        // a conversation without a classifier is not read from its beginning with each turn.
        var first = _classifies || _declaredBlocks > publicBlocks ? Math.Min(undecided, publicBlocks) : undecided;
        long start = 0;
        for (var token = 0; token < first * blockTokens; token++)
            start += tokenBytes[token];
        _text = TokenText.Create(text, tokenBytes, (int)Math.Max(0, start - LookBehind));

        var firstFinding = int.MaxValue;
        foreach (var finding in policy.Detector.Scan(_text.Text))
        {
            // What is declared public is public with all that it says; what runs on beyond it is the tenant's.
            if (_text.ByteAt(finding.End) <= declaredBytes)
                continue;
            firstFinding = Math.Min(firstFinding, finding.Start);
            _privateFrom = Math.Min(_privateFrom, _text.TokenAt(finding.Start) / blockTokens);
        }

        _stop = _text.Text.Length;
        if (_classifies)
            _stop = CollectPassages((int)Math.Max(start, declaredBytes), declaredBytes, firstFinding);
    }

    /// <summary>What the tiers above the rules must judge, in order: up to the first passage with a finding.</summary>
    public IReadOnlyList<Passage> Passages => _passages;

    public string TextOf(Passage passage) => _text.Text[passage.Start..passage.End];

    /// <summary>What stands before a passage, for a tier that reads in context.</summary>
    public string ContextOf(Passage passage) => _text.Text[Math.Max(0, passage.Start - Classifier.Passages.MaxLength)..passage.Start];

    /// <param name="cleared">For each passage, whether it may be shared; passages after the first that may not need none.</param>
    /// <param name="asked">Tier 3 was asked about what tier 2 left open.</param>
    public BlockVerdict Decide(IReadOnlyList<bool> cleared, bool asked = false)
    {
        var privateFrom = _privateFrom;
        var reason = PrivateReason.Rules;
        var publicUpTo = _declaredBlocks;
        if (_classifies)
        {
            var end = _stop;
            for (var index = 0; index < _passages.Count; index++)
            {
                if (index < cleared.Count && cleared[index])
                    continue;
                end = _passages[index].Start;
                // Private as a whole, and for good: it has been judged once.
                // Passages end before the first finding, so what is in the way here comes first.
                privateFrom = Math.Min(privateFrom, _text.TokenAt(end) / _blockTokens);
                reason = asked && index < cleared.Count ? PrivateReason.Context : PrivateReason.Classifier;
                break;
            }

            publicUpTo = Math.Max(publicUpTo, DeclaredBlocks(_tokenBytes, _blockTokens, _text.ByteAt(end)));
        }

        publicUpTo = Math.Min(publicUpTo, privateFrom);
        return new BlockVerdict(privateFrom, Math.Min(_declaredBlocks, publicUpTo), publicUpTo, _declaration, reason);
    }

    /// <summary>Leading blocks that lie in the first bytes with every token.</summary>
    public static int DeclaredBlocks(IReadOnlyList<uint> tokenBytes, int blockTokens, int declaredBytes) =>
        DeclaredPrefix.Tokens(tokenBytes, declaredBytes) / blockTokens;

    /// <returns>The character up to which everything may be shared if every passage is cleared.</returns>
    private int CollectPassages(int fromByte, int declaredBytes, int firstFinding)
    {
        var from = _text.CharacterAt(fromByte);
        // Passages that reach into the undecided part are read whole, but never across the end of a declared text.
        var offset = declaredBytes > 0 && _text.ByteAt(0) == 0 ? Math.Min(_text.CharacterAt(declaredBytes), _text.Text.Length) : 0;
        foreach (var passage in Classifier.Passages.Of(_text.Text[offset..]))
        {
            var (start, stop) = (passage.Start + offset, passage.End + offset);
            if (stop <= from)
                continue;
            // An open passage may go on with the next commit: it is judged when it is complete.
            if (firstFinding < stop || !passage.IsClosed || _passages.Count == MaxPassages)
                return start;
            _passages.Add(new Passage(start, stop, true));
        }

        // All is complete; what is left has nothing in it to read.
        return _text.Text.Length;
    }
}
