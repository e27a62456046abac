using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;

namespace Moebius.Inference.Tests.Models;

/// <summary>Quantised experts change results once, when they are stored; nothing else changes them any more.</summary>
public class QuantizedModelTests
{
    private static readonly int[] Prompt = [.. Enumerable.Range(0, 40).Select(i => 3 + i * 37 % 90)];

    /// <summary>Separate, stacked and interleaved experts, in fp32, with and without biases.</summary>
    public static TheoryData<string, ExpertQuantization> Golden => Each("golden/qwen3_moe", "golden/granitemoe", "golden/gpt_oss");

    /// <summary>The same that are stored in fewer bits.</summary>
    public static TheoryData<string, ExpertQuantization> Stored => Each("quantized/gpt_oss-mxfp4", "quantized/qwen3_moe-fp8-ragged");

    [Theory]
    [MemberData(nameof(Golden))]
    [MemberData(nameof(Stored))]
    public void Budget_threads_chunks_and_storage_change_no_bit(string family, ExpertQuantization quantization)
    {
        var directory = Path.Combine(TestModels.Data, family);
        float[] expected;
        using (var model = TestModels.Load(directory, quantization: quantization))
            expected = TestModels.Prefill(model, Prompt, Prompt.Length);
        using (var model = TestModels.Load(directory, TestModels.SmallestBudget(directory, quantization), quantization: quantization))
            Assert.Equal(expected, TestModels.Prefill(model, Prompt, 7));
        using (var model = TestModels.Load(directory, threads: 2, weights: WeightStorage.Float32, quantization: quantization))
            Assert.Equal(expected, TestModels.Prefill(model, Prompt, 1));
    }

    [Theory]
    [MemberData(nameof(Golden))]
    public void Logits_stay_near_those_of_the_checkpoint(string family, ExpertQuantization quantization)
    {
        var directory = Path.Combine(TestModels.Data, family);
        using var exact = TestModels.Load(directory);
        using var coarse = TestModels.Load(directory, quantization: quantization);
        float[] before = TestModels.Prefill(exact, Prompt, Prompt.Length), after = TestModels.Prefill(coarse, Prompt, Prompt.Length);
        Assert.NotEqual(before, after);
        var error = Math.Sqrt(before.Zip(after, (b, a) => Math.Pow(b - a, 2)).Average() / before.Average(b => b * b));
        Assert.InRange(error, 0, quantization == ExpertQuantization.Int8 ? 0.02 : 0.2);
    }

    [Fact]
    public void Blocks_of_keys_are_not_shared_between_quantisations()
    {
        var directory = TestModels.Golden("qwen3_moe");
        var prints = Enum.GetValues<ExpertQuantization>().Select(quantization =>
        {
            using var model = TestModels.Load(directory, quantization: quantization);
            return Convert.ToHexString(model.Info.Fingerprint.Value.Span);
        });
        Assert.Equal(3, prints.Distinct().Count());
    }

    private static TheoryData<string, ExpertQuantization> Each(params string[] families)
    {
        var data = new TheoryData<string, ExpertQuantization>();
        foreach (var family in families)
        {
            data.Add(family, ExpertQuantization.Int8);
            data.Add(family, ExpertQuantization.Int4);
        }
        return data;
    }
}
