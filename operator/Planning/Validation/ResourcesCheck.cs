using k8s.Models;

namespace Moebius.Operator.Planning.Validation;

/// <summary>What the API server would refuse of a container's resources, told of the field that it came from.</summary>
internal static class ResourcesCheck
{
    /// <summary>Errors of requests and limits.</summary>
    public static IEnumerable<string> Errors(V1ResourceRequirements? resources, string field)
    {
        foreach (var (list, quantities) in new[] { ("requests", resources?.Requests), ("limits", resources?.Limits) })
        {
            foreach (var name in quantities?.Keys ?? [])
            {
                // Names of others have a domain, as nvidia.com/gpu.
                if (!name.Contains('/', StringComparison.Ordinal) && name is not ("cpu" or "memory" or "ephemeral-storage") && !name.StartsWith("hugepages-", StringComparison.Ordinal))
                    yield return $"{field}.{list}[{name}]: is no resource of containers: write cpu, memory, ephemeral-storage, hugepages-SIZE, or a name with a domain";
            }
        }

        foreach (var (name, request) in resources?.Requests ?? new Dictionary<string, ResourceQuantity>())
        {
            if (resources?.Limits is { } limits && limits.TryGetValue(name, out var limit) && request.ToDecimal() > limit.ToDecimal())
                yield return $"{field}.requests[{name}]: '{request}' is more than the limit of '{limit}': write at most that, or raise the limit";
        }
    }
}
