using System.Diagnostics;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class WorkMeterTests
{
    private static readonly TimeSpan SpinTime = TimeSpan.FromMilliseconds(2);

    [Fact]
    public async Task Requests_do_not_count_even_several_at_once()
    {
        var began = Stopwatch.GetTimestamp();
        var meter = WorkMeter.Start(new WorkGap(TimeProvider.System));
        Spin();
        var requests = await Task.WhenAll(RequestAsync(), RequestAsync());
        Spin();
        meter.Stop();
        var all = Stopwatch.GetElapsedTime(began);
        Assert.InRange(meter.Elapsed, 2 * SpinTime, all - requests.Max());
        Assert.True(meter.Processor > TimeSpan.Zero || !OperatingSystem.IsLinux());
        Assert.Null(WorkMeter.Pause());
    }

    /// <summary>How long nobody may have measured: a timer may be early, so it is looked at the clock.</summary>
    private static async Task<TimeSpan> RequestAsync()
    {
        var work = WorkMeter.Pause();
        var began = Stopwatch.GetTimestamp();
        await Task.Delay(TimeSpan.FromMilliseconds(10));
        var taken = Stopwatch.GetElapsedTime(began);
        work?.Resume();
        return taken;
    }

    private static void Spin()
    {
        for (var since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since) < SpinTime;)
            Thread.SpinWait(100);
    }
}
