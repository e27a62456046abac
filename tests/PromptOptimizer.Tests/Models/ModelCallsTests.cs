using Moebius.PromptOptimizer.Models;

namespace Moebius.PromptOptimizer.Tests.Models;

public sealed class ModelCallsTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData("7", 7)]
    [InlineData("Thu, 01 Jan 2026 00:00:30 GMT", 30)]
    [InlineData("Wed, 31 Dec 2025 00:00:30 GMT", 0)]
    public void Retry_after_is_read_in_both_forms(string header, int seconds) => Assert.Equal(TimeSpan.FromSeconds(seconds), ModelCalls.RetryAfter(header, Now));

    [Theory]
    [InlineData(null)]
    [InlineData("soon")]
    public void Other_headers_say_nothing(string? header) => Assert.Null(ModelCalls.RetryAfter(header, Now));

    [Fact]
    public void Waits_double_up_to_the_longest_and_yield_to_the_endpoint()
    {
        var timing = new CallTiming(3, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5));
        Assert.Equal([1, 2, 4, 5], Enumerable.Range(0, 4).Select(attempt => ModelCalls.Delay(attempt, null, timing, 0.5).TotalSeconds));
        Assert.Equal(3, ModelCalls.Delay(0, TimeSpan.FromSeconds(3), timing, 0.5).TotalSeconds);
    }

    [Fact]
    public void The_meter_limits_an_answer_to_what_is_left_and_then_stops()
    {
        var meter = new TokenMeter(1000, 0, TimeProvider.System, _ => { }, _ => { });
        Assert.Equal(500, meter.Reserve(300, 500));
        meter.Record("a", meter.Start(), new("", false, 500, 300));
        Assert.Equal(100, meter.Reserve(300, 500));
        // 200 less a question of 136 leave the shortest answer, and less one of 137 do not.
        Assert.Equal(64, meter.Reserve(3 * 136, 500));
        Assert.Throws<BudgetExhaustedException>(() => meter.Reserve((3 * 136) + 1, 500));
        Assert.Contains("200 tokens are left", Assert.Throws<BudgetExhaustedException>(() => meter.Reserve(600, 500)).Message, StringComparison.Ordinal);
    }
}
