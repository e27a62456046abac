using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

public class QuantizerTests
{
    [Property]
    public void Eight_bits_are_within_half_a_step_of_the_weight(AnyInt seed, byte magnitude)
    {
        var weights = Weights(seed.Item, magnitude);
        var read = RoundTrip(WeightFormat.Int8, weights);
        var step = weights.Max(MathF.Abs) / 127;
        // A scale is rounded to bf16: up to 1/256 larger.
        for (var i = 0; i < weights.Length; i++)
            Assert.InRange(MathF.Abs(read[i] - weights[i]), 0, step * 0.51f + 1e-38f);
    }

    [Property]
    public void Four_bits_are_within_a_step_on_average_of_squares(AnyInt seed, byte magnitude)
    {
        var weights = Weights(seed.Item, magnitude);
        var read = RoundTrip(WeightFormat.Int4, weights);
        double step = weights.Max(MathF.Abs) / 8;
        var error = weights.Zip(read, (w, r) => Math.Pow(w - r, 2)).Average();
        // Rounding alone is at most 1/4 of a squared step; one value that lies opposite to the largest may be cut off.
        Assert.InRange(error, 0, step * step * (0.26 + 1.0 / WeightFormats.Group) + 1e-38);
    }

    [Theory]
    [InlineData(nameof(WeightFormat.Int8), 34)]
    [InlineData(nameof(WeightFormat.Int4), 18)]
    public void Rows_are_padded_to_whole_groups_and_zeros_stay_zeros(string name, int bytes)
    {
        var type = Enum.Parse<WeightFormat>(name);
        Assert.Equal(2 * bytes, type.RowBytes(33));
        var row = new byte[2 * bytes];
        Quantizer.Row(type, new float[33], row);
        Assert.All(TileTests.Widen(type, row, 1, 33), weight => Assert.Equal(0, weight));
    }

    [Fact]
    public void Steps_that_four_bits_can_hold_are_exact()
    {
        float[] weights = [.. Enumerable.Range(0, 32).Select(i => (i % 16 - 8) * 0.25f)];
        Assert.Equal(weights, RoundTrip(WeightFormat.Int4, weights));
    }

    private static float[] RoundTrip(WeightFormat format, float[] weights) =>
        TileTests.Widen(format, TileTests.Store(format, weights, weights.Length), 1, weights.Length);

    private static float[] Weights(int seed, byte magnitude)
    {
        var random = new Random(seed);
        var scale = Math.Pow(2, magnitude % 40 - 20);
        return [.. Enumerable.Range(0, WeightFormats.Group).Select(_ => (float)((random.NextDouble() - 0.5) * scale * (random.Next(8) == 0 ? 8 : 1)))];
    }
}
