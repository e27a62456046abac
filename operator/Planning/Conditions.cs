using k8s.Models;

namespace Moebius.Operator.Planning;

/// <summary>Conditions as the API holds them.</summary>
internal static class Conditions
{
    /// <summary>Longest message that a condition carries.</summary>
    private const int MaxMessage = 2048;

    /// <summary>
    /// The new conditions. A transition time moves only when a status does; conditions that are not planned any more
    /// are dropped.
    /// </summary>
    public static List<V1Condition> Merge(IEnumerable<V1Condition>? before, IEnumerable<PlannedCondition> planned, long? generation, DateTimeOffset now)
    {
        var known = (before ?? []).GroupBy(condition => condition.Type).ToDictionary(group => group.Key, group => group.First());
        var seconds = new DateTime(now.UtcDateTime.Ticks - (now.UtcDateTime.Ticks % TimeSpan.TicksPerSecond), DateTimeKind.Utc);
        return [.. planned.Select(condition =>
        {
            var status = condition.Status.ToString();
            var same = known.TryGetValue(condition.Type, out var old) && old.Status == status;
            return new V1Condition
            {
                Type = condition.Type,
                Status = status,
                Reason = condition.Reason,
                Message = condition.Message.Length > MaxMessage ? condition.Message[..(MaxMessage - 1)] + "…" : condition.Message,
                ObservedGeneration = generation,
                LastTransitionTime = same ? old!.LastTransitionTime : seconds,
            };
        })];
    }
}
