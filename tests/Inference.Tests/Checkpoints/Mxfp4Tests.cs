using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Tests.Checkpoints;

public class Mxfp4Tests
{
    /// <summary>OCP Microscaling Formats 1.0, table 5 and section 5.4: value times 2^(scale - 127), in double precision, which holds all of them.</summary>
    [Fact]
    public void Every_value_under_every_scale_is_exact_or_infinite()
    {
        double[] magnitudes = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
        var infinite = new SortedSet<int>();
        for (var scale = 0; scale < 255; scale++)
        {
            for (var half = 0; half < 16; half++)
            {
                var exact = (half < 8 ? 1 : -1) * magnitudes[half & 7] * Math.Pow(2, scale - 127);
                var value = HalfTypes.ToSingle(Mxfp4.Value(half, (byte)scale), TensorType.BF16);
                Assert.Equal(half >= 8, float.IsNegative(value));
                if (Math.Abs(exact) < Math.Pow(2, 128))
                {
                    Assert.Equal(exact, value);
                    continue;
                }
                infinite.Add(scale);
                Assert.True(float.IsInfinity(value));
            }
        }
        Assert.Equal([253, 254], infinite);
        Assert.All(Enumerable.Range(0, 16), half => Assert.True(float.IsNaN(HalfTypes.ToSingle(Mxfp4.Value(half, Mxfp4.NaNScale), TensorType.BF16))));
    }

    [Property(MaxTest = 300)]
    public void Blocks_are_decoded_value_by_value_low_half_first(byte[] scales, byte seed)
    {
        byte[] blocks = [.. Enumerable.Range(0, scales.Length * 16).Select(i => (byte)((i * 41) + (i / 16) + seed))];
        var values = new ushort[(scales.Length * 32) + 1];
        values[^1] = 0xABCD;
        Mxfp4.ToBFloat16(blocks, scales, values);
        for (var i = 0; i < scales.Length * 32; i++)
        {
            var half = i % 2 == 0 ? blocks[i / 2] & 0xF : blocks[i / 2] >> 4;
            Assert.Equal(Mxfp4.Value(half, scales[i / 32]), values[i]);
        }
        Assert.Equal(0xABCD, values[^1]);
    }
}
