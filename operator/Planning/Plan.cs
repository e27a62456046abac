using k8s;
using k8s.Models;

namespace Moebius.Operator.Planning;

/// <summary>What a resource is to become: its children, and what is wrong with it.</summary>
/// <param name="Children">Objects to make, in the order in which they are needed. Empty when the plan is blocked.</param>
/// <param name="Problems">What cannot be honoured, the gravest first.</param>
/// <param name="Conditions">Conditions that follow from the resource and what it refers to alone.</param>
public sealed record Plan(
    IReadOnlyList<IKubernetesObject<V1ObjectMeta>> Children,
    IReadOnlyList<Problem> Problems,
    IReadOnlyList<PlannedCondition> Conditions)
{
    /// <summary>
    /// Whether a problem forbids making anything. Children that exist already are then left as they are: a mistake in
    /// an edit must not stop what runs (but see <see cref="Withdraws"/>).
    /// </summary>
    public bool IsBlocked => Problems.Any(problem => problem.Blocks);

    /// <summary>More children follow once something has happened: until then nothing that exists is removed.</summary>
    public bool IsPartial { get; init; }

    /// <summary>Children of a blocked plan are removed: what blocks it is not a mistake, but something that takes their place.</summary>
    public bool Withdraws { get; init; }

    /// <summary>The resource asks to be left alone: nothing is made, changed or removed.</summary>
    public bool IsPaused { get; init; }

    /// <summary>What a paused resource asks for and does not have; null when it has all, or is not paused.</summary>
    public string? Behind { get; init; }

    /// <summary>Resources beside its own that the plan was made of.</summary>
    internal IReadOnlyList<IKubernetesObject<V1ObjectMeta>> MadeOf { get; init; } = [];

    /// <summary>The same plan, which a paused resource keeps from being carried out.</summary>
    internal Plan UnlessPaused(IKubernetesObject<V1ObjectMeta> resource) => !Labels.IsPaused(resource) ? With(Labels.PausedProblem(resource)) : this with
    {
        IsPaused = true,
        Conditions = [.. Conditions, new PlannedCondition(ConditionTypes.Paused, ConditionStatus.True, Reasons.Paused, Labels.PausedMessage)],
    };

    private Plan With(Problem? problem) => problem is null ? this : this with { Problems = [.. Problems, problem] };

    /// <summary>A plan without children, because of its problems.</summary>
    internal static Plan Blocked(IReadOnlyList<Problem> problems, IReadOnlyList<PlannedCondition> conditions) => new([], problems, conditions);
}

/// <summary>Something that cannot be honoured.</summary>
/// <param name="Reason">One of <see cref="Reasons"/>.</param>
/// <param name="Message">Names the field, the value and what would be right.</param>
/// <param name="Blocks">Whether nothing may be made because of it.</param>
public sealed record Problem(string Reason, string Message, bool Blocks)
{
    /// <summary>When another try is due; null when that is left to how often it has failed.</summary>
    internal TimeSpan? Again { get; init; }
}

/// <summary>A condition without its time.</summary>
/// <param name="Type">One of <see cref="ConditionTypes"/>.</param>
/// <param name="Status">True, False or Unknown.</param>
/// <param name="Reason">One of <see cref="Reasons"/>.</param>
/// <param name="Message">For people.</param>
public sealed record PlannedCondition(string Type, ConditionStatus Status, string Reason, string Message);

/// <summary>Values of a condition.</summary>
public enum ConditionStatus
{
    /// <summary>It is so.</summary>
    True,

    /// <summary>It is not so.</summary>
    False,

    /// <summary>It is not known yet.</summary>
    Unknown,
}
