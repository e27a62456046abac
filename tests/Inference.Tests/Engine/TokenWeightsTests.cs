using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

/// <summary>Draws that look at a few tokens against draws from the sorted list of all.</summary>
public class TokenWeightsTests
{
    [Property(MaxTest = 400)]
    public void A_draw_is_that_from_the_sorted_list(AnyInt seed, ushort length, byte share, byte where, bool minimum)
    {
        var logits = Logits(seed.Item, 1 + (length % 3000));
        var largest = logits.Where(logit => !float.IsNaN(logit)).Max();
        double temperature = 0.3 + (share % 7 * 0.3), least = minimum ? 0.02 : 0, p = (1 + (share % 99)) / 100.0, uniform = where / 256.0;
        using var weights = new TokenWeights(logits, largest, temperature, least);
        // At the very edge roundings may decide.
        double[] around = [-1e-5, 0, 1e-5];
        Assert.Contains(weights.PickLikeliest(p, uniform), around.SelectMany(by => around.Select(off => FromSorted(logits, largest, temperature, least, p + by, uniform + off))));
        Assert.Contains(weights.Pick(uniform), around.Select(off => InOrder([.. Enumerable.Range(0, logits.Length)], logits, largest, temperature, least, uniform + off)));
    }

    [Property(MaxTest = 200)]
    public void Among_the_likeliest_is_what_the_sorted_list_has_up_to_the_share(AnyInt seed, ushort length, byte share, bool minimum)
    {
        var logits = Logits(seed.Item, 1 + (length % 3000));
        var largest = logits.Where(logit => !float.IsNaN(logit)).Max();
        double least = minimum ? 0.02 : 0, p = (1 + (share % 99)) / 100.0;
        using var weights = new TokenWeights(logits, largest, 0.9, least);
        int[] sorted = [.. Enumerable.Range(0, logits.Length).Where(i => !float.IsNaN(logits[i])).OrderByDescending(i => logits[i]).ThenBy(i => i)];
        double all = sorted.Sum(i => WeightOf(logits[i], largest, 0.9, least)), before = 0;
        foreach (var token in sorted)
        {
            // At the very edge roundings may decide.
            if (Math.Abs(before - (p * all)) > 1e-5 * all && WeightOf(logits[token], largest, 0.9, least) > 0)
                Assert.Equal(before < p * all, weights.IsLikeliest(token, p));
            before += WeightOf(logits[token], largest, 0.9, least);
        }
    }

    [Fact]
    public void Equal_tokens_are_drawn_evenly_and_cut_by_their_ids()
    {
        var logits = new float[1000];
        Assert.Equal(Enumerable.Range(0, 500), Enumerable.Range(0, 500).Select(Likeliest));
        Assert.Equal(Enumerable.Range(0, 1000), Enumerable.Range(0, 1000).Select(Any));

        int Likeliest(int i) => Draw(logits, i / 500.0, 0.5);
        int Any(int i) => Draw(logits, i / 1000.0, 1);
    }

    /// <summary>Targets at which a token ends and the next begins, where the smallest rounding decides; many tokens, or many equal ones.</summary>
    [Property(MaxTest = 200)]
    public void The_search_finds_what_ranking_all_would(AnyInt seed, ushort length, byte kinds)
    {
        var random = new Random(seed.Item);
        var different = kinds % 3 == 0 ? 5 : 100_000;
        float[] weights = [.. Enumerable.Range(0, 1 + (length % 5000)).Select(_ => MathF.Exp(-12f * random.Next(different + 1) / different))];
        int[] sorted = [.. Enumerable.Range(0, weights.Length).OrderByDescending(i => weights[i]).ThenBy(i => i)];
        var keys = new ulong[weights.Length];
        double mass = 0;
        for (var i = 0; i < sorted.Length; i += 1 + random.Next(1 + sorted.Length / 20))
        {
            mass = sorted[..i].Sum(token => (double)weights[token]);
            // Sums in another order end in other bits: at the very edge either neighbour is right.
            var (token, before) = Find(mass);
            var place = Array.IndexOf(sorted, token);
            Assert.InRange(place, i - 1, i);
            Assert.Equal(sorted[..place].Sum(other => (double)weights[other]), before, 1e-9);
            Assert.Equal(sorted[i], Find(mass + (0.5 * weights[sorted[i]])).Token);
        }
        Assert.Equal(sorted[^1], Find(double.PositiveInfinity).Token);

        (int Token, double Before) Find(double target)
        {
            Assert.Equal(keys.Length, TokenKeys.Collect(weights, weights, 1e-30f, keys));
            var place = TokenKeys.Reach(keys, weights, target, out var before);
            Assert.All(keys[..place], key => Assert.True(key > keys[place]));
            return (TokenKeys.Token(keys[place]), before);
        }
    }

    [Fact]
    public void Roundings_at_the_end_fall_on_a_token_that_may_be_drawn()
    {
        float[] logits = [1, 2, 3, float.NegativeInfinity, float.NaN];
        using var weights = new TokenWeights(logits, 3, 1, 0);
        Assert.Equal(2, weights.Pick(1));
        Assert.Equal(0, weights.PickLikeliest(0.999999, 1));
    }

    [Fact]
    public void Weights_are_exponentials_to_the_last_bits_of_fp32()
    {
        foreach (var temperature in new[] { 1, 0.8, 0.1, 3.7 })
        {
            // Temperatures are rounded as numbers in fp32 are.
            var rounded = 1 / (Math.Log(2) * (float)(1 / (Math.Log(2) * temperature)));
            Assert.Equal(1, rounded / temperature, 6e-8);
            for (float logit = 0; logit > -86 * temperature; logit -= 0.0137f * (float)temperature)
            {
                using var weights = new TokenWeights([logit], 0, temperature, 0);
                Assert.InRange(weights.Total / Math.Exp(logit / rounded), 1 - 2.5e-7, 1 + 2.5e-7);
            }
        }
        using var certain = new TokenWeights([3, 2.9f, float.NegativeInfinity, -1e30f, float.NaN], 3, 1e-40, 0);
        Assert.Equal(1, certain.Total);
    }

    [Theory]
    [InlineData(0.0, new[] { 0, 1, 2, 3, 4, 5 })]
    [InlineData(0.3, new[] { 1, 2, 4 })]
    [InlineData(1.0, new[] { 1, 4 })]
    public void What_is_below_the_least_weight_counts_as_nothing(double least, int[] left)
    {
        // Weights of 0.08, 1, 0.61, 0.14, 1 and 0.22 with a temperature of 2, in whole vectors and in the rest of one.
        float[] few = [-2, 3, 2, -1, 3, 0];
        foreach (var at in new[] { 0, 64 })
        {
            float[] logits = [.. Enumerable.Repeat(float.NegativeInfinity, 70)];
            few.CopyTo(logits, at);
            using var weights = new TokenWeights(logits, 3, 2, least);
            Assert.Equal(left.Sum(i => Math.Exp((few[i] - 3) / 2)), weights.Total, 1e-6);
            var drawn = new HashSet<int>();
            for (var i = 0; i < 1000; i++)
                drawn.Add(weights.Pick(i / 1000.0) - at);
            Assert.Equal(left, drawn.Order());
        }
    }

    private static int Draw(float[] logits, double uniform, double share)
    {
        using var weights = new TokenWeights(logits, 0, 1, 0);
        return share < 1 ? weights.PickLikeliest(share, uniform) : weights.Pick(uniform);
    }

    private static int FromSorted(float[] logits, float largest, double temperature, double least, double share, double uniform)
    {
        int[] sorted = [.. Enumerable.Range(0, logits.Length).Where(i => !float.IsNaN(logits[i])).OrderByDescending(i => logits[i]).ThenBy(i => i)];
        var mass = share * sorted.Sum(Weight);
        var kept = 0;
        while (kept < sorted.Length && mass > 0)
            mass -= Weight(sorted[kept++]);
        return InOrder(sorted[..kept], logits, largest, temperature, least, uniform);

        double Weight(int i) => WeightOf(logits[i], largest, temperature, least);
    }

    private static int InOrder(int[] tokens, float[] logits, float largest, double temperature, double least, double uniform)
    {
        double[] weights = [.. tokens.Select(i => WeightOf(logits[i], largest, temperature, least))];
        var target = uniform * weights.Sum();
        for (var i = 0; i < tokens.Length; i++)
        {
            target -= weights[i];
            if (target < 0 && weights[i] > 0)
                return tokens[i];
        }
        return tokens[Array.FindLastIndex(weights, weight => weight > 0)];
    }

    private static double WeightOf(float logit, float largest, double temperature, double least)
    {
        var weight = Math.Exp((logit - largest) / temperature);
        return weight >= least ? weight : 0;
    }

    /// <summary>Some equal, some impossible, some no numbers; at least one is a number.</summary>
    private static float[] Logits(int seed, int length)
    {
        var random = new Random(seed);
        float spread = random.Next(1, 12);
        float[] logits = [.. Enumerable.Range(0, length).Select(_ => random.Next(40) switch
        {
            0 => float.NaN,
            1 => float.NegativeInfinity,
            < 10 => random.Next(8) - 4,
            _ => (random.NextSingle() - 0.5f) * spread,
        })];
        logits[random.Next(length)] = 1;
        return logits;
    }
}
