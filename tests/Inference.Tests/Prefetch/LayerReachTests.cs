using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class LayerReachTests
{
    [Fact]
    public void A_layer_that_waits_more_than_the_others_is_predicted_from_farther_until_it_does_not()
    {
        var reach = new LayerReach(6, 8);
        // The last layer's loads are late half as often with each layer more.
        Run(reach, horizon: 1, steps: 2000, layer => layer == 5 ? 48 >> reach.Of(5, 1) : 6);
        Assert.Equal([1, 1, 1, 1, 1, 3], Reaches(reach, 1));
        Assert.Equal([1, 1, 3, 1, 1, 1], Enumerable.Range(0, 6).Select(layer => reach.From(layer, 1)));
        // A longer horizon is enough for all.
        Assert.Equal([5, 5, 5, 5, 5, 5], Reaches(reach, 5));

        Run(reach, horizon: 1, steps: 2000, layer => layer == 5 ? 2 : 6);
        Assert.Equal([1, 1, 1, 1, 1, 1], Reaches(reach, 1));
    }

    [Fact]
    public void No_layer_is_predicted_from_a_step_before_or_beyond_the_limit_on_its_account()
    {
        var reach = new LayerReach(6, 3);
        Run(reach, horizon: 1, steps: 2000, layer => layer is 0 or 2 or 5 ? 9 : 1);
        Assert.Equal([1, 1, 2, 1, 1, 3], Reaches(reach, 1));
    }

    [Fact]
    public void Few_late_loads_and_those_of_another_horizon_say_nothing()
    {
        var reach = new LayerReach(6, 4);
        for (var i = 0; i < 10_000; i++)
            reach.Observe(5, 1 + (i % 2), LayerReach.Enough);
        Assert.Equal([0, 0, 0, 0, 0, 0], Reaches(reach, 0));
    }

    [Property]
    public void What_a_layer_predicts_holds_every_layer_that_is_first_predicted_from_it(byte[] late, byte horizon)
    {
        const int Layers = 7, Most = 5;
        var reach = new LayerReach(Layers, Most);
        for (var i = 0; i < late.Length; i++)
            reach.Observe(i % Layers, 1 + (horizon % 3), late[i]);
        for (var layer = 0; layer < Layers; layer++)
        {
            var from = reach.From(layer, 1 + (horizon % 3));
            Assert.InRange(from, 1 + (horizon % 3), Most);
            for (var distance = 1; layer + distance < Layers && distance <= Most; distance++)
                Assert.True(reach.Of(layer + distance, 1 + (horizon % 3)) != distance || distance <= from, $"layer {layer}, {distance} ahead");
        }
    }

    private static void Run(LayerReach reach, int horizon, int steps, Func<int, int> late)
    {
        for (var step = 0; step < steps; step++)
        {
            for (var layer = 0; layer < 6; layer++)
                reach.Observe(layer, horizon, late(layer));
        }
    }

    private static IEnumerable<int> Reaches(LayerReach reach, int horizon) => Enumerable.Range(0, 6).Select(layer => reach.Of(layer, horizon));
}
