using Moebius.Cxl.Policy;

namespace Moebius.Cxl.Tests.Policy;

public sealed class RetryBackoffTests
{
    private readonly TimeSpan _start = TimeSpan.FromHours(3);

    [Fact]
    public void Pauses_double_up_to_the_longest()
    {
        var backoff = new RetryBackoff();
        var pauses = new List<TimeSpan>();
        for (var i = 0; i < 12; i++)
        {
            backoff.Failed(_start);
            pauses.Add(backoff.Next - _start);
        }

        Assert.Equal([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300], pauses.Select(pause => (int)pause.TotalSeconds));
        Assert.Equal(12, backoff.Failures);
    }

    [Fact]
    public void Only_a_long_run_starts_over()
    {
        var backoff = new RetryBackoff();
        backoff.Failed(_start);
        backoff.Started(_start);
        backoff.Failed(_start + TimeSpan.FromMinutes(1));
        Assert.Equal(2, (backoff.Next - _start - TimeSpan.FromMinutes(1)).TotalSeconds);
        backoff.Started(_start);
        backoff.Failed(_start + TimeSpan.FromMinutes(11));
        Assert.Equal((1.0, 1), ((backoff.Next - _start - TimeSpan.FromMinutes(11)).TotalSeconds, backoff.Failures));
    }

    [Fact]
    public void A_long_run_forgets_the_failures_while_it_lasts()
    {
        var backoff = new RetryBackoff();
        backoff.Failed(_start);
        backoff.Failed(_start);
        backoff.Started(_start);
        backoff.Settle(At(9.9));
        Assert.Equal(2, backoff.Failures);
        backoff.Settle(At(10));
        Assert.Equal(0, backoff.Failures);
        backoff.Failed(At(11));
        Assert.Equal((1.0, 1), ((backoff.Next - At(11)).TotalSeconds, backoff.Failures));
    }

    [Fact]
    public void Only_the_time_in_which_it_runs_is_a_run()
    {
        var backoff = new RetryBackoff();
        backoff.Failed(_start);
        backoff.Started(_start);
        backoff.Stopped(At(1));
        backoff.Settle(At(20));
        Assert.Equal(1, backoff.Failures);
        backoff.Started(At(20));
        backoff.Settle(At(28));
        Assert.Equal(1, backoff.Failures);
        backoff.Settle(At(29));
        Assert.Equal(0, backoff.Failures);
    }

    [Fact]
    public void An_hour_without_a_failure_forgets_them_though_it_never_ran()
    {
        var backoff = new RetryBackoff();
        backoff.Failed(_start);
        backoff.Settle(At(59));
        Assert.Equal(1, backoff.Failures);
        backoff.Settle(At(60));
        Assert.Equal(0, backoff.Failures);
    }

    [Fact]
    public void What_somebody_else_has_is_waited_for_and_is_no_failure()
    {
        var backoff = new RetryBackoff();
        backoff.Taken(_start);
        backoff.Taken(_start);
        backoff.Taken(_start);
        Assert.Equal((4.0, 0), ((backoff.Next - _start).TotalSeconds, backoff.Failures));
        backoff.Failed(_start);
        Assert.Equal((1.0, 1), ((backoff.Next - _start).TotalSeconds, backoff.Failures));
        backoff.Taken(_start);
        Assert.Equal((1.0, 1), ((backoff.Next - _start).TotalSeconds, backoff.Failures));
    }

    private TimeSpan At(double minutes) => _start + TimeSpan.FromMinutes(minutes);
}
