using System.Runtime.Intrinsics;
using Moebius.Inference.Kernels;

namespace Moebius.Inference.Tests.Kernels;

/// <summary>What the determinism of the models rests on: every way to compute an element gives the same bits.</summary>
public unsafe class TileTests
{
    public static TheoryData<string> Formats => [.. Enum.GetNames<WeightFormat>()];

    [Theory]
    [MemberData(nameof(Formats))]
    public void An_element_has_the_same_bits_in_every_tile(string name)
    {
        var format = Enum.Parse<WeightFormat>(name);
        const int Columns = 37;
        foreach (var k in new[] { 32, 96, 160, 7, 48, 71 })
        {
            var weights = Values(Columns * k, 5);
            var stored = Store(format, weights, k);
            var bias = Values(Columns, 6);
            for (var rows = 1; rows <= 9; rows++)
            {
                var x = Values(rows * k, rows);
                var y = new float[rows * Columns];
                fixed (float* px = x, py = y, pb = bias)
                fixed (byte* pw = stored)
                {
                    var w = WeightRows.Packed(pw, format, k, pb);
                    MatrixProduct.Run(px, k, w, py, Columns, rows, 0, Columns, k);
                    for (var i = 0; i < rows; i++)
                    {
                        for (var j = 0; j < Columns; j++)
                            Assert.Equal(Dot(format, px + i * k, pw + j * w.RowBytes, k) + bias[j], y[i * Columns + j]);
                    }

                    // Other ranges of columns, and rows found through an index.
                    var parts = new float[rows * Columns];
                    int[] reversed = [.. Enumerable.Range(0, rows).Reverse()];
                    fixed (float* pp = parts)
                    fixed (int* index = reversed)
                    {
                        foreach (var (from, to) in new[] { (0, 5), (5, 21), (21, 37) })
                            MatrixProduct.Run(px, k, w, pp, Columns, rows, from, to, k, index);
                    }
                    for (var i = 0; i < rows; i++)
                        Assert.Equal(y.AsSpan(i * Columns, Columns), parts.AsSpan((rows - 1 - i) * Columns, Columns));
                }
            }
        }
    }

    [Theory]
    [InlineData(nameof(WeightFormat.BFloat16))]
    [InlineData(nameof(WeightFormat.Int8))]
    [InlineData(nameof(WeightFormat.Int4))]
    public void Stored_weights_give_the_bits_of_what_they_stand_for(string name)
    {
        var format = Enum.Parse<WeightFormat>(name);
        foreach (var k in new[] { 64, 50 })
        {
            var stored = Store(format, Values(16 * k, 9), k);
            var x = Values(k, 10);
            float[] direct = new float[16], widened = new float[16];
            var weights = Widen(format, stored, 16, k);
            fixed (float* px = x, pd = direct, pn = widened, pf = weights)
            fixed (byte* pw = stored)
            {
                MatrixProduct.Run(px, k, WeightRows.Packed(pw, format, k, null), pd, 16, 1, 0, 16, k);
                MatrixProduct.Run(px, k, WeightRows.Packed((byte*)pf, WeightFormat.Float32, k, null), pn, 16, 1, 0, 16, k);
            }
            Assert.Equal(widened, direct);
        }
    }

    [Property]
    public void Sixteen_sums_are_the_sums_of_each(AnyInt seed)
    {
        var random = new Random(seed.Item);
        var s = Enumerable.Range(0, 16).Select(_ => Vector512.Create(Enumerable.Range(0, 16).Select(_ => (float)(random.NextDouble() * Math.Pow(10, random.Next(-6, 6)) - 1)).ToArray())).ToArray();
        var sums = LaneSum.Sixteen(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11], s[12], s[13], s[14], s[15]);
        for (var i = 0; i < 16; i++)
            Assert.Equal(LaneSum.One(s[i]), sums[i]);
    }

    [Property]
    public void Sums_do_not_depend_on_the_address(AnyInt seed, byte count)
    {
        var values = Values(count, seed.Item);
        var memory = new float[count + 16];
        float? squares = null, sum = null;
        fixed (float* at = memory)
        {
            for (var shift = 0; shift < 16; shift++)
            {
                values.CopyTo(memory.AsSpan(shift));
                Assert.Equal(squares ??= LaneSum.Squares(at + shift, count), LaneSum.Squares(at + shift, count));
                Assert.Equal(sum ??= LaneSum.Of(at + shift, count), LaneSum.Of(at + shift, count));
            }
        }
        Assert.Equal(values.Sum(v => (double)v * v), squares!.Value, 1e-4 * (1 + squares.Value));
    }

    internal static byte[] Store(WeightFormat format, float[] weights, int k)
    {
        int rows = weights.Length / k, bytes = (int)format.RowBytes(k);
        var stored = new byte[rows * bytes];
        for (var row = 0; row < rows; row++)
        {
            var from = weights.AsSpan(row * k, k);
            var to = stored.AsSpan(row * bytes, bytes);
            if (format is WeightFormat.Int8 or WeightFormat.Int4)
            {
                Quantizer.Row(format, from, to);
                continue;
            }
            for (var i = 0; i < k; i++)
            {
                if (format == WeightFormat.Float32)
                    BitConverter.TryWriteBytes(to[(4 * i)..], from[i]);
                else
                    BitConverter.TryWriteBytes(to[(2 * i)..], (ushort)(BitConverter.SingleToUInt32Bits(from[i]) >> 16));
            }
        }
        return stored;
    }

    internal static float[] Widen(WeightFormat format, byte[] stored, int rows, int k)
    {
        var weights = new float[rows * k];
        var group = new float[WeightFormats.Group];
        int bytes = (int)format.RowBytes(k), each = (int)format.RowBytes(WeightFormats.Group);
        fixed (byte* from = stored)
        fixed (float* to = group)
        {
            for (var i = 0; i < weights.Length; i++)
            {
                int row = i / k, at = i % k;
                var place = from + row * bytes + at / 32 * each;
                switch (format)
                {
                    case WeightFormat.BFloat16: BFloat16Weights.Tail(place, Math.Min(32, k - at / 32 * 32), to); break;
                    case WeightFormat.Int8: Int8Weights.Tail(place, 32, to); break;
                    default: Int4Weights.Tail(place, 32, to); break;
                }
                weights[i] = group[at % 32];
            }
        }
        return weights;
    }

    internal static float[] Values(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(random.NextDouble() - 0.5))];
    }

    private static float Dot(WeightFormat format, float* x, byte* w, int k) => format switch
    {
        WeightFormat.Float32 => Tiles.Dot<Float32Weights>(x, w, k),
        WeightFormat.BFloat16 => Tiles.Dot<BFloat16Weights>(x, w, k),
        WeightFormat.Int8 => Tiles.Dot<Int8Weights>(x, w, k),
        _ => Tiles.Dot<Int4Weights>(x, w, k),
    };
}
