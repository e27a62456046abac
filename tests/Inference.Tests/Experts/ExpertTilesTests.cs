using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Kernels;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Experts;

public class ExpertTilesTests
{
    private const int Tile = 64 << 10;

    [Theory]
    [InlineData(2 << 20, 4096, 1024, 384, 128)]
    [InlineData(2 << 20, 8, 1024, 384, 0)] // a decode: everything is smaller than a tile
    [InlineData(2 << 20, 512, 1024, 384, 0)]
    [InlineData(2 << 20, 1 << 20, 1024, 384, 32)] // never narrower than a part of a product
    [InlineData(2 << 20, 4096, 4096, 14336, 0)] // what would be kept is wider than what is spared
    public void Tiles_where_they_save_memory(int tileBytes, int slots, int hidden, int width, int columns) =>
        Assert.Equal(columns, ExpertTiles.Columns(tileBytes, slots, hidden, width));

    [Theory]
    [InlineData(1.0, PrefetchMode.OnDemand)]
    [InlineData(0.5, PrefetchMode.OnDemand)]
    [InlineData(0.5, PrefetchMode.Adaptive)]
    [InlineData(0.1, PrefetchMode.OnDemand)] // the layer's experts do not fit at once: no tiles
    public void Tiles_change_no_bit(double budget, PrefetchMode prefetch)
    {
        Assert.SkipWhen(TestModels.Demonstration() is null, "the demonstration model is not above the tests");
        var directory = TestModels.Demonstration()!;
        int[] tokens = [.. Enumerable.Range(0, 150).Select(i => 5 + (i * 37 % 4000))];
        var plain = Logits(directory, tokens, 1, new PrefetchSpec { Mode = PrefetchMode.OnDemand }, int.MaxValue, 1, out var shape);
        Assert.NotEqual(0, ExpertTiles.Columns(Tile, tokens.Length * shape.TopK, shape.Hidden, shape.Intermediate));
        foreach (var threads in new[] { 1, 2 })
            Assert.True(plain.AsSpan().SequenceEqual(Logits(directory, tokens, budget, new PrefetchSpec { Mode = prefetch }, Tile, threads, out _)), $"{threads} threads");
    }

    /// <summary>An expert with more rows than are computed at once, and experts with few.</summary>
    [Theory]
    [InlineData(700)]
    [InlineData(1400)] // a tile fits the memory of x
    public unsafe void The_product_in_tiles_is_the_product(int tokens)
    {
        const int hidden = 160, width = 40, slots = 4200;
        using var kernels = new TensorKernels(new Workers(2)) { ExpertTileBytes = Tile };
        var random = new Random(7);
        int[] counts = [4000, 1, 2, 60, 137], token = [.. Enumerable.Range(0, slots).Select(_ => random.Next(tokens))];
        float[] numbers = [.. Enumerable.Range(0, (tokens * hidden) + (counts.Length * 3 * width * hidden)).Select(_ => random.NextSingle() - 0.5f)];
        fixed (float* data = numbers)
        fixed (int* index = token)
        {
            var x = new Rows(data, tokens, hidden);
            var experts = new GatedWeights[counts.Length];
            var weights = (byte*)(data + (tokens * hidden));
            for (int i = 0, first = 0; i < experts.Length; first += counts[i++])
            {
                experts[i] = new GatedWeights(new GatedMatrices(Matrix(hidden), Matrix(hidden), Matrix(width)), first, counts[i]);

                WeightRows Matrix(int k)
                {
                    var rows = WeightRows.Packed(weights, WeightFormat.Float32, k, null);
                    weights += hidden * width * sizeof(float);
                    return rows;
                }
            }
            var whole = kernels.Take(slots, hidden);
            GatedExperts.Run(kernels, Activation.Silu, experts, x, index, width, whole);
            var sums = kernels.Take(slots / 3, hidden);
            var tiledSums = kernels.Take(slots / 3, hidden);
            int[] rowOf = [.. Enumerable.Range(0, slots).OrderBy(_ => random.Next())];
            float[] shares = [.. rowOf.Select(_ => random.NextSingle())];
            ExpertTiles.Sum(kernels, sums, 0, whole, rowOf, shares, 3);
            var tiles = ExpertTiles.For(kernels, Activation.Silu, slots, width, x, tiledSums, inPlace: true)!;
            tiles.Activate(experts.AsMemory(3), index);
            tiles.Activate(experts.AsMemory(0, 3), index);
            tiles.Combine(rowOf, shares, 3);
            Assert.True(new ReadOnlySpan<float>(sums.Data, sums.Count * hidden).SequenceEqual(new ReadOnlySpan<float>(tiledSums.Data, sums.Count * hidden)));
        }
    }

    private static float[] Logits(string directory, int[] tokens, double budget, PrefetchSpec prefetch, int tile, int threads, out (int TopK, int Hidden, int Intermediate) shape)
    {
        var config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(Path.Combine(directory, "config.json")))!;
        shape = ((int)config["num_experts_per_tok"]!, (int)config["hidden_size"]!, (int)config["moe_intermediate_size"]!);
        long all;
        using (var model = TestModels.Load(directory))
            all = model.Experts.BudgetBytes;
        using var loaded = ModelLoader.Load(directory, new ModelLoadOptions { ExpertBudgetBytes = (long)(all * budget), Threads = threads, PrefetchSpec = prefetch, ExpertTileBytes = tile });
        using var kv = loaded.CreateSequence();
        return loaded.Forward([new SequenceChunk(kv, tokens, LogitsFor.All)])[0];
    }
}
