using System.Globalization;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// Memory of an inference pod. Pages of the arena are charged to the container that touches them first, which may be
/// either, so the limit of each must leave room for all of it; requests count it once.
/// </summary>
internal static class PodMemory
{
    private const long Mebibyte = 1 << 20;

    /// <summary>The programs themselves.</summary>
    private const long InferenceBase = MemorySizing.ProgramBytes;
    private const long KVCacheBase = 128 * Mebibyte;
    private const long KVCacheHeadroom = 256 * Mebibyte;

    /// <summary>
    /// Without stated resources what is known to be needed is requested and nothing is limited. The weights of a model that
    /// is mounted are not known before its pod runs, and a pod must not be replaced because they are known later.
    /// </summary>
    /// <param name="spec">The spec.</param>
    /// <param name="facts">Sizes of a model that has been downloaded.</param>
    public static V1ResourceRequirements InferenceRequests(MoEDeploymentSpec spec, ModelFacts? facts) => new()
    {
        // The arena is requested by its own container.
        Requests = Memory(facts is null ? Budgets(spec) + InferenceBase : MemorySizing.Plan(facts, Budget(spec) with { Arena = 0, Limit = null }).Needed),
    };

    /// <summary>
    /// A container that prepares the pod has what the one that serves has, which costs nothing: it has ended when that one
    /// starts. Without limits of its own it would keep the pod out of a namespace with a quota on limits, and from being
    /// Guaranteed, which exclusive processors ask for.
    /// </summary>
    public static V1ResourceRequirements Preparing(MoEDeploymentSpec spec)
    {
        var (requests, limits) = (Basic(spec.Resources?.Requests), Basic(spec.Resources?.Limits));
        if (!requests.ContainsKey("memory") && !limits.ContainsKey("memory"))
            requests["memory"] = new ResourceQuantity("128Mi");
        return new V1ResourceRequirements { Requests = requests.Count > 0 ? requests : null, Limits = limits.Count > 0 ? limits : null };
    }

    /// <summary>Devices and huge pages are for the container that serves.</summary>
    private static Dictionary<string, ResourceQuantity> Basic(IDictionary<string, ResourceQuantity>? quantities) =>
        (quantities ?? new Dictionary<string, ResourceQuantity>()).Where(one => one.Key is "cpu" or "memory").ToDictionary();

    /// <summary>What the spec gives the inference container.</summary>
    public static MemoryBudget Budget(MoEDeploymentSpec spec) => new(
        spec.Experts.FastMemory is { } experts ? Quantities.Bytes(experts, "spec.experts.fastMemory") : null,
        Quantities.Bytes(spec.Serving.KVMemory, "spec.serving.kvMemory"),
        spec.KVCache.Enabled ? Arena(spec) : 0,
        Limit(spec.Resources),
        spec.Serving.MaxBatchTokens,
        spec.KVCache.BlockTokens,
        MemorySizing.LayersAhead(spec.Experts.Prefetch));

    public static V1ResourceRequirements KVCacheResources(MoEDeploymentSpec spec)
    {
        var arena = Arena(spec);
        return new V1ResourceRequirements { Requests = Memory(arena + KVCacheBase), Limits = Memory(arena + KVCacheHeadroom) };
    }

    /// <summary>Limits that cannot hold what the spec itself asks for.</summary>
    public static IEnumerable<string> Errors(MoEDeploymentSpec spec)
    {
        // The engine maps the arena whenever there is one.
        var arena = spec.KVCache.Enabled ? Arena(spec) : 0;
        var needed = Budgets(spec) + arena;
        if (Limit(spec.Resources) is { } limit && limit < needed)
            yield return $"spec.resources.limits.memory: {Quantities.Format(limit)} is less than the {Quantities.Format(needed)} of spec.experts.fastMemory, spec.serving.kvMemory and spec.kvCache.memory together: raise it, and leave room for the dense weights";
        if (spec.KVCache.Enabled && Limit(spec.KVCache.Resources) is { } sidecar && sidecar < arena)
            yield return $"spec.kvCache.resources.limits.memory: {Quantities.Format(sidecar)} is less than the arena of {Quantities.Format(arena)} (spec.kvCache.memory): raise it";
    }

    private static long Budgets(MoEDeploymentSpec spec) =>
        (spec.Experts.FastMemory is { } experts ? Quantities.Bytes(experts, "spec.experts.fastMemory") : 0)
        + Quantities.Bytes(spec.Serving.KVMemory, "spec.serving.kvMemory");

    private static long Arena(MoEDeploymentSpec spec) => Quantities.Bytes(spec.KVCache.Memory, "spec.kvCache.memory");

    private static long? Limit(V1ResourceRequirements? resources) =>
        resources?.Limits is { } limits && limits.TryGetValue("memory", out var limit) ? (long)Math.Min(limit.ToDecimal(), long.MaxValue) : null;

    private static Dictionary<string, ResourceQuantity> Memory(long bytes) =>
        new() { ["memory"] = new ResourceQuantity(((bytes + Mebibyte - 1) / Mebibyte).ToString(CultureInfo.InvariantCulture) + "Mi") };
}
