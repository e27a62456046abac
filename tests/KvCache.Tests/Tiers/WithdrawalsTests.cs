using Moebius.KvCache.Index;
using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

public sealed class WithdrawalsTests
{
    [Fact]
    public void A_block_has_the_last_moment_of_all_up_to_it()
    {
        var withdrawals = new Withdrawals();
        Assert.Null(withdrawals.Along([Key(0)]));
        withdrawals.Add(Key(1), 40);
        withdrawals.Add(Key(1), 50);
        withdrawals.Add(Key(3), 45);
        withdrawals.Add(Key(4), 60);
        Assert.Equal([long.MinValue, 50, 50, 50, 60], withdrawals.Along([Key(0), Key(1), Key(2), Key(3), Key(4)])!);
        Assert.Null(withdrawals.Along([Key(0), Key(2)]));
    }

    [Fact]
    public void The_oldest_are_forgotten()
    {
        var withdrawals = new Withdrawals();
        for (var entry = 0; entry <= Withdrawals.Most; entry++)
            withdrawals.Add(Key(entry), entry);
        Assert.Null(withdrawals.Along([Key(0)]));
        Assert.Equal([1L], withdrawals.Along([Key(1)])!);
    }

    [Fact]
    public void What_is_withdrawn_again_is_as_new()
    {
        var withdrawals = new Withdrawals();
        withdrawals.Add(Key(0), 10);
        withdrawals.Add(Key(1), 20);
        withdrawals.Add(Key(0), 30);
        for (var entry = 2; entry <= Withdrawals.Most; entry++)
            withdrawals.Add(Key(entry), 40);
        Assert.Equal([30L], withdrawals.Along([Key(0)])!);
        Assert.Null(withdrawals.Along([Key(1)]));
    }

    [Fact]
    public void What_is_taken_back_once_more_is_not_settled_by_what_was_asked_for_before()
    {
        var withdrawals = new Withdrawals();
        var first = withdrawals.Add(Key(0), long.MaxValue);
        var second = withdrawals.Add(Key(0), long.MaxValue);
        withdrawals.Settle(Key(0), first, 10);
        withdrawals.Settle(Key(1), first, 10);
        Assert.Equal([long.MaxValue], withdrawals.Along([Key(0)])!);
        Assert.Null(withdrawals.Along([Key(1)]));
        withdrawals.Settle(Key(0), second, 20);
        Assert.Equal([20L], withdrawals.Along([Key(0)])!);
    }

    private static BlockKey Key(int number) => new(7, (ulong)number);
}
