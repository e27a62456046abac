using Moebius.KvCache.Tiers;

namespace Moebius.KvCache.Tests.Tiers;

public sealed class RemovalsTests
{
    [Fact]
    public async Task What_is_added_again_while_it_is_taken_away_is_taken_away_again()
    {
        var taken = new List<string>();
        Removals<string>? removals = null;
        removals = new Removals<string>(1, items =>
        {
            taken.AddRange(items);
            if (taken.Count == 1)
                removals!.Add(["a"]);
            // Whoever adds something asks for it too; one run is enough.
            Assert.True(removals!.RunAsync().IsCompletedSuccessfully);
            return Task.FromResult(true);
        });
        removals.Add(["a", "b"]);
        await removals.RunAsync();
        Assert.Equal(["a", "b", "a"], taken);
        await removals.RunAsync();
        Assert.Equal(3, taken.Count);
    }

    [Fact]
    public async Task What_fails_by_itself_keeps_nothing_else_from_its_turn()
    {
        var taken = new List<string>();
        var removals = new Removals<string>(2, items =>
        {
            taken.AddRange(items);
            return Task.FromResult(!items.Contains("bad"));
        });
        removals.Add(["bad", "a", "b", "c", "d"]);
        await removals.RunAsync();
        Assert.Equal(["bad", "a"], taken);
        await removals.RunAsync();
        Assert.Equal(["bad", "a", "b", "c", "d", "bad"], taken);
        await removals.RunAsync();
        Assert.Equal(["bad", "a", "b", "c", "d", "bad", "a", "d", "bad"], taken);
    }

    [Fact]
    public async Task What_throws_is_tried_again_the_next_time()
    {
        var tries = 0;
        var removals = new Removals<string>(1, _ => ++tries == 1 ? throw new InvalidOperationException("once") : Task.FromResult(true));
        removals.Add(["a"]);
        await Assert.ThrowsAsync<InvalidOperationException>(removals.RunAsync);
        await removals.RunAsync();
        await removals.RunAsync();
        Assert.Equal(2, tries);
    }
}
