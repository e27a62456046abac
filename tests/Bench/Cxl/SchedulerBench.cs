namespace Moebius.Bench.Cxl;

internal static class SchedulerBench
{
    public static Task RunAsync() => Task.CompletedTask;
}
