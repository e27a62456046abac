using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

public class TokenRankingTests
{
    [Property]
    public void The_top_is_the_beginning_of_the_sorted_list(AnyInt seed, ushort length, ushort count)
    {
        var values = Values(seed.Item, length % 1000);
        var wanted = count % 400;
        int[] expected = [.. Enumerable.Range(0, values.Length).Where(i => !float.IsNaN(values[i])).OrderByDescending(i => values[i]).ThenBy(i => i).Take(wanted)];
        Assert.Equal(expected, TokenRanking.Top(values, wanted));
    }

    [Property]
    public void The_largest_is_the_first_of_the_top(AnyInt seed, ushort length)
    {
        var values = Values(seed.Item, length % 100);
        var top = TokenRanking.Top(values, 1);
        Assert.Equal(top.Length == 0 || float.IsNegativeInfinity(values[top[0]]) ? -1 : top[0], TokenRanking.Largest(values));
    }

    /// <summary>Few different values or many, near each other or far apart; some are no numbers.</summary>
    private static float[] Values(int seed, int length)
    {
        var random = new Random(seed);
        var scale = random.Next(5) switch { 0 => 1e-6f, 1 => 1e6f, 2 => 1e37f, _ => 1 };
        var many = random.Next(2) == 0;
        return [.. Enumerable.Range(0, length).Select(_ => random.Next(30) switch
        {
            0 => float.NaN,
            1 => float.NegativeInfinity,
            2 when seed % 7 == 0 => float.PositiveInfinity,
            var value => scale * (many ? random.NextSingle() - 0.5f : value * 0.5f - 5),
        })];
    }
}
