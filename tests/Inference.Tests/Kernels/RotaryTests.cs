using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

public unsafe class RotaryTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_pair_turns_by_its_angle_and_nothing_else_changes(bool interleaved)
    {
        const int Heads = 3, Start = 5, Rest = 2;
        for (var pairs = 1; pairs <= 40; pairs++)
        {
            var random = new Random(pairs);
            var headDim = Start + (2 * pairs) + Rest;
            float[] before = [.. Enumerable.Range(0, Heads * headDim).Select(_ => random.NextSingle() - 0.5f)], x = [.. before];
            double[] angles = [.. Enumerable.Range(0, pairs).Select(_ => random.NextDouble() * 6)];
            float[] cos = [.. angles.Select(angle => (float)Math.Cos(angle))], sin = [.. angles.Select(angle => (float)Math.Sin(angle))];
            fixed (float* data = x, c = cos, s = sin)
                Rotary.Rotate(data, Heads, headDim, Start, c, s, pairs, interleaved);
            double[] expected = [.. before];
            for (var head = 0; head < Heads; head++)
            {
                for (var pair = 0; pair < pairs; pair++)
                {
                    var first = (head * headDim) + Start + (interleaved ? 2 * pair : pair);
                    var second = first + (interleaved ? 1 : pairs);
                    expected[first] = (before[first] * Math.Cos(angles[pair])) - (before[second] * Math.Sin(angles[pair]));
                    expected[second] = (before[second] * Math.Cos(angles[pair])) + (before[first] * Math.Sin(angles[pair]));
                }
            }

            for (var at = 0; at < x.Length; at++)
                Assert.Equal(expected[at], x[at], 1e-6);
        }
    }
}
