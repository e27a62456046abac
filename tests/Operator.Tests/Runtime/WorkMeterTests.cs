using System.Diagnostics;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class WorkMeterTests
{
    [Fact]
    public async Task Requests_do_not_count_even_several_at_once()
    {
        var began = Stopwatch.GetTimestamp();
        var meter = WorkMeter.Start();
        Spin();
        var paused = Stopwatch.GetTimestamp();
        await Task.WhenAll(RequestAsync(), RequestAsync());
        var pause = Stopwatch.GetElapsedTime(paused);
        Spin();
        meter.Stop();
        var all = Stopwatch.GetElapsedTime(began);
        Assert.InRange(meter.Elapsed, TimeSpan.FromMilliseconds(4), all - TimeSpan.FromMilliseconds(10));
        Assert.True(pause >= TimeSpan.FromMilliseconds(10));
        Assert.True(meter.Processor > TimeSpan.Zero || !OperatingSystem.IsLinux());
        Assert.Null(WorkMeter.Pause());
    }

    private static async Task RequestAsync()
    {
        var work = WorkMeter.Pause();
        await Task.Delay(TimeSpan.FromMilliseconds(10));
        work?.Resume();
    }

    private static void Spin()
    {
        for (var since = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(since) < TimeSpan.FromMilliseconds(2);)
            Thread.SpinWait(100);
    }
}
