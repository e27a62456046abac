namespace Moebius.KvCache.Tests;

public sealed class TurnsTests
{
    [Fact]
    public void Each_has_its_own_in_order_and_one_comes_after_the_other()
    {
        var turns = new Turns<string, int>();
        Assert.False(turns.TryTake(out _));
        foreach (var (who, item) in (ValueTuple<string, int>[])[("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)])
            turns.Add(who, item);
        Assert.Equal((1, 4), (Take(), Take()));
        // Whoever comes now has one of each other's before it.
        turns.Add("c", 6);
        Assert.Equal([2, 5, 6, 3], Enumerable.Range(0, 4).Select(_ => Take()));
        Assert.False(turns.TryTake(out _));
        turns.Add("a", 7);
        Assert.Equal(7, Take());

        int Take() => turns.TryTake(out var item) ? item : throw new InvalidOperationException("nothing is there");
    }

    [Fact]
    public async Task Some_are_let_in_at_a_time_and_who_does_not_wait_any_more_has_no_turn()
    {
        var gate = new TurnGate<string>(2);
        await gate.EnterAsync("a", CancellationToken.None);
        await gate.EnterAsync("a", CancellationToken.None);
        using var over = new CancellationTokenSource();
        var waiting = new[] { "a", "a", "b" }.Select((who, number) => gate.EnterAsync(who, number == 0 ? over.Token : CancellationToken.None)).ToArray();
        Assert.All(waiting, static turn => Assert.False(turn.IsCompleted));
        await over.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Eventually.EndsAsync(waiting[0]));
        gate.Leave();
        await Eventually.EndsAsync(waiting[2]);
        Assert.False(waiting[1].IsCompleted);
        gate.Leave();
        await Eventually.EndsAsync(waiting[1]);

        // Both are in: as many come in after them as before.
        gate.Leave();
        gate.Leave();
        await Eventually.EndsAsync(Task.WhenAll(gate.EnterAsync("c", CancellationToken.None), gate.EnterAsync("c", CancellationToken.None)));
        Assert.False(gate.EnterAsync("c", CancellationToken.None).IsCompleted);
    }
}
