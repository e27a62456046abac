using System.Runtime.InteropServices;
using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Tests.Checkpoints;

public class Fp8Tests
{
    /// <summary>Values of the format's definition (arXiv 2209.05433, table 1).</summary>
    [Theory]
    [InlineData(0x00, 0)]
    [InlineData(0x01, 0.001953125)]
    [InlineData(0x07, 0.013671875)]
    [InlineData(0x08, 0.015625)]
    [InlineData(0x38, 1)]
    [InlineData(0xBC, -1.5)]
    [InlineData(0x7E, 448)]
    [InlineData(0xFE, -448)]
    [InlineData(0x7F, double.NaN)]
    [InlineData(0xFF, double.NaN)]
    public void Codes_stand_for_what_the_format_says(byte code, double value) => Assert.Equal((float)value, Fp8.Value(code));

    /// <summary>The seven bits, moved up, are those of a half precision number 2^8 times smaller; only NaN is another.</summary>
    [Fact]
    public void Every_code_is_the_half_with_its_bits_times_256()
    {
        for (var code = 0; code < 256; code++)
        {
            var half = (float)BitConverter.UInt16BitsToHalf((ushort)(((code & 0x80) << 8) | ((code & 0x7F) << 7))) * 256;
            var value = Fp8.Value((byte)code);
            Assert.Equal((code & 0x7F) == 0x7F ? "NaN" : $"{half:R} {BitConverter.SingleToUInt32Bits(half):x}", float.IsNaN(value) ? "NaN" : $"{value:R} {BitConverter.SingleToUInt32Bits(value):x}");
        }
    }

    /// <summary>Vectors and the rest of a row: the product in fp32, rounded to the nearest bf16, ties to even.</summary>
    [Property(MaxTest = 300)]
    public void Rows_of_any_length_are_products_rounded_to_bf16(uint bits, byte length, byte first)
    {
        var scale = BitConverter.UInt32BitsToSingle(bits);
        if (!float.IsFinite(scale))
            scale = first;
        byte[] codes = [.. Enumerable.Range(0, length).Select(i => (byte)(first + (i * 3)))];
        var values = new ushort[length + 1];
        values[length] = 0xABCD;
        Fp8.ToBFloat16(codes, scale, values);
        for (var i = 0; i < length; i++)
        {
            var product = Fp8.Value(codes[i]) * scale;
            Assert.Equal(float.IsNaN(product) ? "NaN" : $"{Nearest(product):x4}", (values[i] & 0x7FFF) > 0x7F80 ? "NaN" : $"{values[i]:x4}");
        }
        Assert.Equal(0xABCD, values[length]);
    }

    [Fact]
    public void Every_code_stays_itself_under_a_power_of_two()
    {
        byte[] codes = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        var values = new ushort[256];
        Fp8.ToBFloat16(codes, 0.25f, values);
        for (var i = 0; i < 256; i++)
            Assert.Equal(Fp8.Value((byte)i) / 4, HalfTypes.ToSingle(values[i], TensorType.BF16));
        // NaN is never lost among bytes.
        Assert.Equal(2, FiniteWeights.CountOthers(MemoryMarshal.AsBytes<ushort>(values), TensorType.BF16));
    }

    /// <summary>Of the two neighbours in bf16 the nearer one, and of two that are as near the one that ends in 0.</summary>
    private static ushort Nearest(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        ushort below = (ushort)(bits >> 16), above = (ushort)(below + 1);
        var rest = bits & 0xFFFF;
        return rest > 0x8000 || (rest == 0x8000 && (below & 1) == 1) ? above : below;
    }
}
