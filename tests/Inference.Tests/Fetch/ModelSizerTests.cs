using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Fetch;
using Moebius.Inference.Models;
using Moebius.Inference.Prediction;

namespace Moebius.Inference.Tests.Fetch;

/// <summary>What a model takes, told from its configuration and the headers of its weights alone.</summary>
[Trait("Category", "Component")]
public sealed class ModelSizerTests
{
    [Theory]
    [MemberData(nameof(TestModels.All), MemberType = typeof(TestModels))]
    public void Sizes_are_those_of_the_loaded_model(string name) => CompareSizes(Path.Combine(TestModels.Data, name));

    [Theory]
    [InlineData("deepseek_v3")]
    [InlineData("glm4_moe")]
    public void Layers_after_the_last_take_no_memory(string family)
    {
        using var model = TestModels.Copy(TestModels.Golden(family));
        model.EditConfig(config => config["num_hidden_layers"] = (int)config["num_hidden_layers"]! - 1);
        CompareSizes(model.Path);
    }

    private static void CompareSizes(string directory)
    {
        var facts = ModelSizer.Measure(directory, ExpertQuantization.None);
        using var model = (Inference.Models.Decoder)TestModels.Load(directory);
        Assert.Equal(model.Experts.BudgetBytes, facts.ExpertBytes);
        Assert.Equal(TestModels.SmallestBudget(directory), facts.SmallestExpertBytes);
        Assert.Equal(model.Info.BlockBytes / model.Info.BlockTokens, facts.KVBytesPerToken);
        var spec = Architectures.Describe(ModelConfig.Read(directory));
        Assert.Equal(StepMemory.BytesPerToken(spec), facts.StepBytesPerToken);
        RouterSpec[] routers = [.. spec.FeedForward.OfType<MoeSpec>().Select(block => block.Router)];
        Assert.Equal(routers.Length == 0 ? null : PredictorMemory.Facts(new RoutingShape(routers.Length, routers[0].Experts, routers[0].TopK, spec.Vocabulary)), facts.Predictor);
        // Each piece of memory begins at a multiple of 64 bytes, and latent attention makes two of each head.
        Assert.InRange(model.DenseBytes - facts.DenseBytes, 0, 64 * 40 * model.Info.Layers);
    }

    [Fact]
    public void A_model_is_packed_once_for_each_format()
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        var before = Directory.GetFiles(model.Path).Length;
        ModelSizer.Pack(model.Path, ExpertQuantization.None, TestContext.Current.CancellationToken);
        var packed = Directory.GetFiles(model.Path, "*.moebius").Single();
        var written = File.GetLastWriteTimeUtc(packed);
        ModelSizer.Pack(model.Path, ExpertQuantization.None, TestContext.Current.CancellationToken);
        Assert.Equal(written, File.GetLastWriteTimeUtc(packed));
        ModelSizer.Pack(model.Path, ExpertQuantization.Int8, TestContext.Current.CancellationToken);
        Assert.Equal(before + 2, Directory.GetFiles(model.Path).Length);
        Assert.True(ModelSizer.Measure(model.Path, ExpertQuantization.Int8).ExpertBytes < ModelSizer.Measure(model.Path, ExpertQuantization.None).ExpertBytes);
    }
}
