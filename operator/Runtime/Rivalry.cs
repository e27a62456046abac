using System.Collections.Concurrent;

namespace Moebius.Operator.Runtime;

/// <summary>
/// How often the same plan has been applied to an object lately. What somebody has changed is taken back at once; one who changes
/// it again each time, such as an operator of another version beside this one, is answered later and later: else two programs
/// would make and remove pods several times a second for as long as both run.
/// </summary>
internal sealed class Rivalry(TimeProvider time)
{
    /// <summary>So often at once.</summary>
    internal const int AtOnce = 5;

    private const int MaxObjects = 4096;

    /// <summary>The longest pause between two answers.</summary>
    internal static readonly TimeSpan Longest = TimeSpan.FromMinutes(2);

    /// <summary>After so much quiet nothing is held against anybody.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromMinutes(5);

    private readonly ConcurrentDictionary<(Type Kind, ObjectKey Key), (string Plan, int Times, DateTimeOffset Last)> _applied = [];

    /// <summary>How long the plan of this hash has to wait because it was applied so often; null when it has not.</summary>
    public TimeSpan? Wait(Type kind, ObjectKey key, string plan) =>
        _applied.TryGetValue((kind, key), out var before) && before.Plan == plan && before.Last + Pause(before.Times) - time.GetUtcNow() is { Ticks: > 0 } left ? left : null;

    /// <summary>Counts.</summary>
    public void Applied(Type kind, ObjectKey key, string plan)
    {
        if (_applied.Count >= MaxObjects)
            _applied.Clear();
        var now = time.GetUtcNow();
        _applied.AddOrUpdate(
            (kind, key),
            _ => (plan, 1, now),
            (_, before) => (plan, before.Plan == plan && now - before.Last < Quiet ? before.Times + 1 : 1, now));
    }

    private static TimeSpan Pause(int times) => times < AtOnce
        ? TimeSpan.Zero
        : TimeSpan.FromSeconds(Math.Min(Longest.TotalSeconds, Math.Pow(2, Math.Min(times - AtOnce, 20))));
}
