using System.Runtime.InteropServices;
using Moebius.Crds;
using Moebius.Inference.Checkpoints;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Checkpoints;

public class FiniteWeightsTests
{
    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void Every_place_is_looked_at_in_every_type(float bad)
    {
        for (var length = 1; length <= 70; length += 3)
        {
            for (var at = 0; at < length; at++)
            {
                float[] values = [.. Enumerable.Repeat(float.MaxValue, length)];
                Half[] halves = [.. Enumerable.Repeat(Half.MinValue, length)];
                ushort[] brains = [.. Enumerable.Repeat((ushort)0xFF7F, length)];
                Check(0);
                values[at] = bad;
                halves[at] = (Half)bad;
                brains[at] = (ushort)(BitConverter.SingleToUInt32Bits(bad) >> 16);
                Check(1);

                void Check(int expected)
                {
                    Assert.Equal(expected, FiniteWeights.CountOthers(MemoryMarshal.AsBytes<float>(values), TensorType.F32));
                    Assert.Equal(expected, FiniteWeights.CountOthers(MemoryMarshal.AsBytes<Half>(halves), TensorType.F16));
                    Assert.Equal(expected, FiniteWeights.CountOthers(MemoryMarshal.AsBytes<ushort>(brains), TensorType.BF16));
                }
            }
        }
    }

    [Fact]
    public void A_dense_weight_is_refused_at_load_by_file_tensor_and_count()
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        var values = Poison(model, "model.layers.1.self_attn.q_proj.weight", 3);
        var message = Assert.Throws<UserInputException>(() => TestModels.Load(model.Path).Dispose()).Message;
        Assert.Equal($"{model.File_("model.safetensors")}: tensor \"model.layers.1.self_attn.q_proj.weight\": 3 of {values} values are NaN or infinite; all weights must be finite numbers", message);
    }

    [Fact]
    public void A_preloaded_expert_is_refused_at_load()
    {
        using var model = TestModels.Copy(TestModels.Golden("qwen3_moe"));
        Poison(model, "model.layers.0.mlp.experts.2.down_proj.weight", 1);
        var message = Assert.Throws<UserInputException>(() => TestModels.Load(model.Path).Dispose()).Message;
        Assert.Contains("experts.2.down_proj.weight\": 1 of ", message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_expert_that_is_read_on_demand_fails_its_step_each_time()
    {
        var golden = TestModels.Golden("qwen3_moe");
        var budget = TestModels.SmallestBudget(golden);
        using var copy = TestModels.Copy(golden);
        foreach (var expert in Enumerable.Range(0, 16))
            Poison(copy, $"model.layers.0.mlp.experts.{expert}.up_proj.weight", expert < 15 ? 1 : 0);
        using var model = TestModels.Load(copy.Path, budget);
        using var kv = model.CreateSequence();
        for (var i = 0; i < 20; i++)
        {
            var refused = Assert.Throws<UserInputException>(() => model.Forward([new SequenceChunk(kv, new[] { 5, 6 }, LogitsFor.Last)]));
            Assert.Contains("up_proj.weight\": 1 of ", refused.Message, StringComparison.Ordinal);
            Assert.Equal(0, kv.Length);
            Assert.InRange(model.Experts.ResidentBytes, 0, budget);
        }
    }

    /// <summary>Makes the first values of a tensor NaN; returns how many it has.</summary>
    private static long Poison(TemporaryModel model, string name, int count)
    {
        var path = model.File_("model.safetensors");
        TensorEntry entry;
        using (var file = SafetensorsFile.Open(path))
            entry = file.Entries.Single(e => e.Name == name);
        using var stream = File.OpenWrite(path);
        stream.Position = entry.Offset;
        // All bits set is NaN in every floating type.
        stream.Write([.. Enumerable.Repeat((byte)0xFF, count * entry.Type.Bytes())]);
        return entry.Elements;
    }
}
