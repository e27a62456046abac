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
}
