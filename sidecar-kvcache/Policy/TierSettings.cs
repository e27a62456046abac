using Moebius.Crds.V1Alpha1;

namespace Moebius.KvCache.Policy;

/// <summary>Tier 2 as the policy wants it.</summary>
/// <param name="Type">Which classifier.</param>
/// <param name="OnnxPath">Folder of the model, for Onnx: within the folder where the claim is mounted.</param>
/// <param name="PublicBelow">Below this probability text is public.</param>
/// <param name="PrivateAbove">Above this probability text is private; between, tier 3 decides.</param>
internal sealed record ClassifierSettings(ClassifierType Type, string OnnxPath, double PublicBelow, double PrivateAbove)
{
    public bool IsEnabled => Type != ClassifierType.Disabled;
}

/// <summary>Tier 3 as the policy wants it.</summary>
/// <param name="Url">Base URL, up to <c>/v1</c>.</param>
/// <param name="Model">The model to ask for.</param>
/// <param name="NeedsKey">The policy names a secret with a bearer token.</param>
/// <param name="Timeout">How long one passage may wait for its verdict.</param>
/// <param name="CacheSize">Verdicts kept.</param>
internal sealed record ContextCheckSettings(string Url, string Model, bool NeedsKey, TimeSpan Timeout, int CacheSize);
