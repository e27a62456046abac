using k8s.Models;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning;

/// <summary>
/// What a volume claim that exists cannot become: its storage class and access mode stay, and it does not shrink. Asking
/// the API server all the same would only get its refusal, again and again.
/// </summary>
internal static class ClaimChange
{
    /// <summary>What stands between a claim and its plan; null when the plan can be applied.</summary>
    /// <param name="ownerKind">Kind of the resource that the claim belongs to.</param>
    /// <param name="planned">As the resource asks for it.</param>
    /// <param name="live">As it is.</param>
    public static Problem? Refuse(string ownerKind, V1PersistentVolumeClaim planned, V1PersistentVolumeClaim live)
    {
        var field = ownerKind == MoEDeployment.KindName ? "spec.model.source.store" : "spec.store";
        if (planned.Spec.StorageClassName is { } storageClass && storageClass != live.Spec.StorageClassName)
            return Kept($"{field}.storageClassName", storageClass, live.Spec.StorageClassName ?? "none yet");
        if (!planned.Spec.AccessModes.SequenceEqual(live.Spec.AccessModes ?? []))
            return Kept($"{field}.accessMode", string.Join(", ", planned.Spec.AccessModes), string.Join(", ", live.Spec.AccessModes ?? []));
        return Size(planned) < Size(live)
            ? Kept($"{field}.size", Storage(planned)!.ToString(), Storage(live)!.ToString())
            : null;

        Problem Kept(string where, string wanted, string has) => new(
            Reasons.StoreImmutable,
            $"{where}: '{wanted}' cannot be had: PersistentVolumeClaim '{live.Metadata.Name}' has '{has}', and a claim can only grow: write what it has, or delete the claim and with it the data",
            Blocks: false);
    }

    private static ResourceQuantity? Storage(V1PersistentVolumeClaim claim) => claim.Spec.Resources?.Requests is { } requests && requests.TryGetValue("storage", out var size) ? size : null;

    private static decimal Size(V1PersistentVolumeClaim claim) => Storage(claim)?.ToDecimal() ?? 0;
}
