using System.Collections.Concurrent;

namespace Moebius.Operator.Runtime;

/// <summary>
/// How often the same plan has been applied to an object lately, or has made it. What somebody has changed or removed is put right at
/// once; one who does so again each time, such as an operator of another version beside this one, is answered later and later: else two programs
/// would make and remove pods several times a second for as long as both run.
/// </summary>
internal sealed class Rivalry(TimeProvider time)
{
    /// <summary>So often at once.</summary>
    internal const int AtOnce = 5;

    /// <summary>The longest pause between two answers.</summary>
    internal static readonly TimeSpan Longest = TimeSpan.FromMinutes(2);

    /// <summary>After so much quiet nothing is held against anybody.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromMinutes(5);

    private readonly ConcurrentDictionary<(Type Kind, ObjectKey Key), (string Plan, int Times, DateTimeOffset Last)> _applied = [];
    private readonly Lock _looking = new();
    private DateTimeOffset _looked = time.GetUtcNow();

    /// <summary>How long the plan of this hash has to wait because it was applied so often; null when it has not.</summary>
    public TimeSpan? Wait(Type kind, ObjectKey key, string plan) =>
        _applied.TryGetValue((kind, key), out var before) && before.Plan == plan && before.Last + Pause(before.Times) - time.GetUtcNow() is { Ticks: > 0 } left ? left : null;

    /// <summary>Counts.</summary>
    public void Applied(Type kind, ObjectKey key, string plan)
    {
        var now = time.GetUtcNow();
        Forget(now);
        _applied.AddOrUpdate(
            (kind, key),
            _ => (plan, 1, now),
            (_, before) => (plan, before.Plan == plan && now - before.Last < Quiet ? before.Times + 1 : 1, now));
    }

    /// <summary>Once in a while, what is quiet: so there are no more than are written in two such times.</summary>
    private void Forget(DateTimeOffset now)
    {
        lock (_looking)
        {
            if (now - _looked < Quiet)
                return;
            _looked = now;
        }

        foreach (var (one, before) in _applied)
        {
            if (now - before.Last >= Quiet)
                _applied.TryRemove(KeyValuePair.Create(one, before));
        }
    }

    private static TimeSpan Pause(int times) => times < AtOnce
        ? TimeSpan.Zero
        : TimeSpan.FromSeconds(Math.Min(Longest.TotalSeconds, Math.Pow(2, Math.Min(times - AtOnce, 20))));
}
