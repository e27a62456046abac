using k8s.Models;

namespace Moebius.Operator.Planning;

/// <summary>
/// What a paused resource says of itself. What runs well but is not what the current generation asks for is not ready: who
/// waits for that generation would go on. Once it was found to run, a difference that comes later is not the spec's: an
/// operator that was upgraded plans pods otherwise, or something that is referred to has changed. Then Ready says how the
/// pods do, and Progressing what waits.
/// </summary>
internal static class PausedConditions
{
    /// <summary>The new conditions, as <see cref="Conditions.Merge"/> has them.</summary>
    public static List<V1Condition> Merge(List<V1Condition>? before, IEnumerable<PlannedCondition> conditions, Plan plan, long? generation, DateTimeOffset now)
    {
        if (plan is not { Behind: { } behind, IsBlocked: false })
            return Conditions.Merge(before, conditions, generation, now);
        var message = $"{Labels.PausedMessage}, and {behind}";
        var wasCurrent = WasCurrent(before, generation);
        return Conditions.Merge(
            before,
            conditions.Select(condition => condition.Type switch
            {
                ConditionTypes.Ready when wasCurrent => condition with { Message = $"{condition.Message}; {message}" },
                ConditionTypes.Ready or ConditionTypes.Progressing => new(condition.Type, ConditionStatus.False, Reasons.Paused, message),
                _ => condition,
            }),
            generation,
            now);
    }

    /// <summary>Whether this generation was what runs when it was last looked at: paused already, or just before.</summary>
    private static bool WasCurrent(List<V1Condition>? before, long? generation)
    {
        var known = (before ?? []).Where(condition => condition.ObservedGeneration == generation).DistinctBy(condition => condition.Type).ToDictionary(condition => condition.Type);
        if (!known.TryGetValue(ConditionTypes.Ready, out var ready) || ready.Reason == Reasons.Paused)
            return false;
        // What ran while a model was being fetched was that of before; only who asks for no pods does not wait for it.
        if (known.TryGetValue(ConditionTypes.ModelFetched, out var fetched) && !IsTrue(fetched) && ready.Reason != Reasons.ScaledToZero)
            return false;
        if (IsTrue(ready))
            return true;
        // Pods that do not answer yet are those of this generation, unless something kept it from being carried out. A
        // resource without pods has no such condition: what it asks for is there when it is ready.
        return known.TryGetValue(ConditionTypes.Progressing, out var progressing) && progressing.Reason != Reasons.Blocked
            && known.TryGetValue(ConditionTypes.Paused, out var paused) && IsTrue(paused);
    }

    private static bool IsTrue(V1Condition condition) => condition.Status == nameof(ConditionStatus.True);
}
