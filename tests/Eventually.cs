using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Moebius.Tests;

/// <summary>
/// Waits for what another thread or process does, with a limit far beyond what it takes: a test whose condition never holds
/// fails and says which, instead of keeping the whole run waiting.
/// </summary>
internal static class Eventually
{
    /// <summary>For waits that have their own way to end.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);

    /// <summary>For a look that costs a request or a process.</summary>
    private static readonly TimeSpan LongPause = TimeSpan.FromMilliseconds(100);

    public static Task TrueAsync(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string what = "") =>
        UntilAsync(() => Task.FromResult(condition()), Pause, () => Assert.Fail($"not within {Limit.TotalSeconds} s: {what}"));

    public static Task TrueAsync(Func<Task<bool>> condition, [CallerArgumentExpression(nameof(condition))] string what = "") =>
        UntilAsync(condition, LongPause, () => Assert.Fail($"not within {Limit.TotalSeconds} s: {what}"));

    public static Task EqualAsync<T>(T expected, Func<Task<T>> actual)
    {
        T last = default!;
        return UntilAsync(async () => EqualityComparer<T>.Default.Equals(last = await actual(), expected), LongPause, () => Assert.Equal(expected, last));
    }

    /// <summary>Waits for what another thread or process is about to end, or to answer.</summary>
    public static async Task EndsAsync(Task task, [CallerArgumentExpression(nameof(task))] string what = "")
    {
        if (await Task.WhenAny(task, Task.Delay(Limit)) != task)
            Assert.Fail($"not within {Limit.TotalSeconds} s: {what}");
        await task;
    }

    /// <inheritdoc cref="EndsAsync(Task, string)"/>
    public static async Task<T> EndsAsync<T>(Task<T> task, [CallerArgumentExpression(nameof(task))] string what = "")
    {
        await EndsAsync((Task)task, what);
        return await task;
    }

    private static async Task UntilAsync(Func<Task<bool>> holds, TimeSpan pause, Action fail)
    {
        for (var since = Stopwatch.GetTimestamp(); !await holds(); await Task.Delay(pause))
        {
            if (Stopwatch.GetElapsedTime(since) > Limit)
                fail();
        }
    }
}
