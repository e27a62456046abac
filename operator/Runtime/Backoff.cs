namespace Moebius.Operator.Runtime;

/// <summary>Exponential delays with jitter, so that many who fail together do not come back together.</summary>
/// <param name="First">Delay after the first failure.</param>
/// <param name="Most">Longest delay.</param>
/// <param name="Random">A number from 0 to 1.</param>
internal sealed record Backoff(TimeSpan First, TimeSpan Most, Func<double> Random)
{
    /// <summary>For objects that fail to reconcile.</summary>
    public static Backoff PerObject() => new(TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(5), System.Random.Shared.NextDouble);

    /// <summary>For lists and watches that fail.</summary>
    public static Backoff PerWatch() => new(TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(15), System.Random.Shared.NextDouble);

    /// <summary>Delay after a number of failures in a row: from 100 to 120 percent of the doubled delay.</summary>
    public TimeSpan Delay(int failures)
    {
        var doubled = First.TotalMilliseconds * Math.Pow(2, Math.Min(Math.Max(failures, 1) - 1, 30));
        return TimeSpan.FromMilliseconds(Math.Min(doubled * (1 + (0.2 * Random())), Most.TotalMilliseconds));
    }
}
