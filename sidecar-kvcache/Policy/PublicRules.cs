using Moebius.Crds.V1Alpha1;
using Moebius.KvCache.Index;

namespace Moebius.KvCache.Policy;

/// <summary>Which entries may be public under a policy. Pure.</summary>
internal static class PublicRules
{
    /// <summary>Whether an entry that is public for this reason stays so.</summary>
    public static bool Holds(CompiledPolicy policy, PublicReason reason) => policy.Mode switch
    {
        SharingMode.Share => true,
        SharingMode.Isolate => false,
        _ when reason.IsCleared => policy.Classifier.IsEnabled && reason.Clearance == policy.Clearance,
        _ => reason.Declaration is { } digest && policy.Prefixes.Any(prefix => prefix.Digest == digest),
    };
}
