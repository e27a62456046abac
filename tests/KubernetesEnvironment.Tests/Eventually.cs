namespace Moebius.KubernetesEnvironment.Tests;

/// <summary>Waits for what another process does, with a limit far beyond what it takes.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    public static async Task HoldsAsync(string what, Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(Limit);
        while (!await condition())
        {
            Assert.False(limit.IsCancellationRequested, $"{what}: not within {Limit.TotalSeconds} s");
            await Task.Delay(20);
        }
    }
}
