using Moebius.Inference.Checkpoints;

namespace Moebius.Inference.Tests.Checkpoints;

public class Fp8MatrixTests
{
    /// <summary>Wherever a band begins and ends, among blocks or inside one, its rows are those of the whole.</summary>
    [Theory]
    [InlineData("q_proj", 48, 40)]
    [InlineData("o_proj", 40, 48)]
    public void Bands_of_any_size_are_the_matrix(string part, int rows, int columns)
    {
        using var checkpoint = Checkpoint.Open(Path.Combine(TestModels.Data, "quantized", "qwen3_moe-fp8-ragged"), fp8: new Fp8Blocks(16, 16));
        var whole = Fp8Matrix.Find(checkpoint, $"model.layers.1.self_attn.{part}.weight", rows, columns)!;
        var expected = Rows(whole);
        Assert.Equal(rows, expected.Length);
        for (var bytes = 1; bytes <= rows * columns + 1; bytes += 13)
        {
            var bands = whole.Bands(bytes).ToArray();
            Assert.All(bands, band => Assert.InRange(band.Rows * columns, 1, Math.Max(bytes, columns)));
            Assert.Equal(expected, bands.SelectMany(Rows));
        }
    }

    [Fact]
    public void Names_of_scales_lead_to_what_they_scale()
    {
        using var checkpoint = Checkpoint.Open(Path.Combine(TestModels.Data, "quantized", "qwen3_moe-fp8-ragged"), fp8: new Fp8Blocks(16, 16));
        foreach (var name in checkpoint.Names)
        {
            var scaled = Fp8Matrix.ScaledBy(checkpoint, name);
            Assert.Equal(name.EndsWith("_proj.weight_scale_inv", StringComparison.Ordinal), scaled is not null);
            Assert.Equal(scaled is null ? null : name[..^"_scale_inv".Length], scaled);
        }
    }

    private static ushort[][] Rows(Fp8Matrix matrix)
    {
        var scratch = new byte[matrix.ScratchBytes];
        matrix.Read(scratch);
        return [.. Enumerable.Range(0, matrix.Rows).Select(r =>
        {
            var row = new ushort[matrix.Columns];
            matrix.Row(scratch, r, row);
            return row;
        })];
    }
}
