using Moebius.Crds.Privacy;
using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Detection;

namespace Moebius.KvCache.Policy;

/// <summary>A policy ready for use. Immutable: a reload swaps the whole of it.</summary>
internal sealed record CompiledPolicy
{
    public required SharingMode Mode { get; init; }

    public required IReadOnlyList<DeclaredPrefix> Prefixes { get; init; }

    public required Detector Detector { get; init; }

    /// <summary>Tier 2, as the policy wants it.</summary>
    public required ClassifierSettings Classifier { get; init; }

    /// <summary>Tier 3, as the policy wants it; null: none.</summary>
    public required ContextCheckSettings? ContextCheck { get; init; }

    /// <summary>Tells policies, programs and models apart that clear different texts: a SHA-256 in hexadecimal.</summary>
    public required string Clearance { get; init; }

    /// <summary>The tiers above the rules, loaded.</summary>
    public DetectionTiers Tiers { get; init; } = DetectionTiers.None;

    /// <summary>Blocks classified in one batch.</summary>
    public required int BatchSize { get; init; }

    public required TimeSpan MaxDelay { get; init; }

    public required MonitorSettings Monitor { get; init; }

    public required TimeSpan PrivateIdle { get; init; }

    public required TimeSpan PublicIdle { get; init; }

    public required int MaxTenantPercent { get; init; }

    /// <summary>The policy asks for private blocks outside the arena, encrypted.</summary>
    public bool HasEncryption { get; init; }

    /// <summary>Whether anything can become public at all.</summary>
    public bool MakesPublic => Mode == SharingMode.Share || (Mode == SharingMode.SafeKV && (Prefixes.Count > 0 || Classifier.IsEnabled));

    /// <summary>Private blocks, encrypted, may go into the tier between pods.</summary>
    public bool SharePrivate { get; init; }

    /// <summary><c>metadata.generation</c>; 0 when no policy is mounted.</summary>
    public required long Generation { get; init; }

    /// <summary>What the operator of the service should know although the policy is valid. Names no text.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>What a probability means under this policy.</summary>
    public PassageVerdict Judge(double probability) =>
        probability < Classifier.PublicBelow ? PassageVerdict.Public : probability > Classifier.PrivateAbove ? PassageVerdict.Private : PassageVerdict.Open;

    /// <summary>The longest declared text that starts this prompt, or null.</summary>
    public DeclaredPrefix? DeclaredPrefixOf(ReadOnlySpan<byte> text, out int length) => DeclaredPrefix.Longest(Prefixes, text, out length);
}

/// <summary>What tier 2 says about a passage.</summary>
internal enum PassageVerdict
{
    /// <summary>It may be shared.</summary>
    Public,

    /// <summary>Tier 3 decides; without one it stays private.</summary>
    Open,

    /// <summary>It stays private.</summary>
    Private,
}

/// <summary>When a public entry counts as probed (SafeKV, arXiv 2508.08438v2, section 4.3).</summary>
internal sealed record MonitorSettings(
    bool Enabled, TimeSpan Window, int MinHits, int HitJumpPercent, int ReuseDiversityPercent, bool Demote, TimeSpan IsolateFor);
