using Moebius.Inference.Kernels;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

public class RouterTests
{
    [Fact]
    public void Softmax_then_top_k_keeps_or_normalises_the_probabilities()
    {
        float[] e = [1, 3, 2, 0];
        var total = e.Sum(MathF.Exp);
        var (experts, weights) = Route(new RouterSpec(RouterKind.SoftmaxTopK, 4, 2), e);
        Assert.Equal([1, 2], experts);
        Assert.Equal(MathF.Exp(3) / total, weights[0], 1e-6f);
        (_, weights) = Route(new RouterSpec(RouterKind.SoftmaxTopK, 4, 2) { Normalize = true, Scale = 2 }, e);
        Assert.Equal(2, weights.Sum(), 1e-6f);
    }

    /// <summary>0 / 0 is not above the jitter: the reference implementation leaves nothing out.</summary>
    [Fact]
    public void SparseMixer_keeps_all_experts_where_all_logits_are_zero()
    {
        var (experts, weights) = Route(new RouterSpec(RouterKind.SparseMixer, 8, 2) { Jitter = 0.01f }, new float[8]);
        Assert.Equal([0, 1], experts);
        Assert.Equal([1 / 8f, 1 / 7f], weights);
        // Below zero the best is zero too, and what is far from it is left out.
        (experts, weights) = Route(new RouterSpec(RouterKind.SparseMixer, 3, 2) { Jitter = 0.01f }, [-4, 0, 0]);
        Assert.Equal([1, 2], experts);
        Assert.Equal([1 / 2f, 1f], weights);
    }

    [Fact]
    public void Groups_limit_the_choice()
    {
        // The best single expert is 0, but the second group has the better pair.
        float[] logits = [4, -9, 2, 2.5f];
        var spec = new RouterSpec(RouterKind.SigmoidGroups, 4, 2) { Groups = 2, TopGroups = 1 };
        Assert.Equal([3, 2], Route(spec, logits).Experts);
        Assert.Equal([0, 1], Route(spec with { Kind = RouterKind.SoftmaxTopK }, logits).Experts);
    }

    [Fact]
    public void The_correction_changes_the_choice_but_not_the_weight()
    {
        var spec = new RouterSpec(RouterKind.SigmoidGroups, 3, 1);
        var (experts, weights) = Route(spec, [0, 1, 2], [0, 5, 0]);
        Assert.Equal([1], experts);
        Assert.Equal(1 / (1 + MathF.Exp(-1)), weights[0], 1e-6f);
    }

    [Property]
    public void Every_scheme_chooses_distinct_experts_with_finite_weights(AnyInt seed, byte kind)
    {
        var random = new Random(seed.Item);
        var spec = new RouterSpec((RouterKind)(kind % 4), 8, 2) { Groups = 2, TopGroups = 1, Normalize = true, Jitter = 0.01f };
        float[] logits = [.. Enumerable.Range(0, 8).Select(_ => (random.NextSingle() - 0.5f) * random.Next(1, 40))];
        var (experts, weights) = Route(spec, logits);
        Assert.Equal(2, experts.Distinct().Count());
        Assert.All(experts, e => Assert.InRange(e, 0, 7));
        Assert.All(weights, w => Assert.InRange(w, 0, 1.000001f));
    }

    /// <summary>Scores in whole vectors are chosen from in another way than others: the same choice, ties and all.</summary>
    [Property]
    public void Wide_routers_choose_the_largest_and_of_equals_the_first(AnyInt seed, byte vectors, byte topK, bool groups)
    {
        var random = new Random(seed.Item);
        int experts = 16 * ((vectors % 33) + 1), k = (topK % 10) + 1;
        float[] logits = [.. Enumerable.Range(0, experts).Select(_ => random.Next(-9, 9) / 4f)];
        var spec = new RouterSpec(RouterKind.TopKSoftmax, experts, k);
        int[] expected = [.. Enumerable.Range(0, experts).OrderByDescending(e => logits[e]).ThenBy(e => e).Take(k)];
        Assert.Equal(expected, Route(spec, logits).Experts);
        if (!groups || k > 8)
            return;
        // Experts outside the best groups count as minus infinity.
        var limited = Route(spec with { Kind = RouterKind.SoftmaxTopK, Groups = experts / 8, TopGroups = 1 }, logits).Experts;
        Assert.Single(limited.Select(e => e / 8).Distinct());
        Assert.Equal(k, limited.Distinct().Count());
    }

    /// <summary>Several tokens are chosen for in lanes of vectors, one is not: the same experts and weights, to the last bit.</summary>
    [Property(MaxTest = 300)]
    public unsafe void A_token_has_the_same_experts_and_weights_among_others(AnyInt seed, byte tokens, byte vectors, byte topK, byte kind)
    {
        var random = new Random(seed.Item);
        int count = (tokens % 40) + 1, experts = (16 * ((vectors % 9) + 1)) - (vectors % 11 == 0 ? 3 : 0), k = (topK % 8) + 1;
        var spec = new RouterSpec((RouterKind)(kind % 3), experts, k) { Normalize = kind % 2 == 0, Scale = 1.5f };
        float[][] logits = [.. Enumerable.Range(0, count).Select(_ => Logits(random, experts))];
        float[] all = [.. logits.SelectMany(row => row)], weights = new float[count * k];
        var chosen = new int[count * k];
        fixed (float* rows = all)
            Router.Route(spec, new Rows(rows, count, experts), [], chosen, weights);
        for (var token = 0; token < count; token++)
        {
            var alone = Route(spec, logits[token]);
            Assert.Equal(alone.Experts, chosen[(token * k)..((token + 1) * k)]);
            Assert.Equal(alone.Weights.Select(BitConverter.SingleToInt32Bits), weights[(token * k)..((token + 1) * k)].Select(BitConverter.SingleToInt32Bits));
        }
    }

    /// <summary>Some equal, at times some impossible or no numbers, at times all.</summary>
    private static float[] Logits(Random random, int count)
    {
        var strange = random.Next(20) switch { 0 => 100, 1 => 30, _ => 0 };
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(100) < strange
            ? random.Next(2) == 0 ? float.NaN : float.NegativeInfinity
            : random.Next(2) == 0 ? random.Next(-9, 9) / 4f : (random.NextSingle() - 0.5f) * 30)];
    }

    private static (int[] Experts, float[] Weights) Route(RouterSpec spec, float[] logits, float[]? correction = null)
    {
        var experts = new int[spec.TopK];
        var weights = new float[spec.TopK];
        Router.Route(spec, logits.ToArray(), correction ?? [], experts, weights);
        return (experts, weights);
    }
}
