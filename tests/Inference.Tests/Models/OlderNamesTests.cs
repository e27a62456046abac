using Moebius.Inference.Models;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Tests.Models;

/// <summary>Published checkpoints use older names; the same model under them gives the same result.</summary>
public class OlderNamesTests
{
    public static TheoryData<string> Models => TestModels.All();

    [Theory]
    [MemberData(nameof(Models))]
    public void Configurations_with_older_names_mean_the_same(string name)
    {
        using var model = TestModels.Copy(Path.Combine(TestModels.Data, name));
        model.EditConfig(config =>
        {
            var rope = config["rope_parameters"]!.AsObject().DeepClone().AsObject();
            config.Remove("rope_parameters");
            config["rope_theta"] = rope["rope_theta"]!.DeepClone();
            rope.Remove("rope_theta");
            if (rope.Remove("partial_rotary_factor", out var partial))
                config["partial_rotary_factor"] = partial!.DeepClone();
            rope["type"] = rope["rope_type"]!.DeepClone();
            rope.Remove("rope_type");
            // gpt_oss without any parameters means its own YaRN, so there the plain kind has to be said.
            var plain = rope["type"]!.GetValue<string>() == "default" && config["model_type"]!.GetValue<string>() != "gpt_oss";
            config["rope_scaling"] = plain ? null : rope;
            config["torch_dtype"] = config["dtype"]?.DeepClone();
            config.Remove("dtype");
            if (config["model_type"]!.GetValue<string>() is "qwen3_moe" && config.Remove("num_local_experts", out var experts))
                config["num_experts"] = experts!.DeepClone();
        });
        var result = ModelVerifier.Verify(model.Path, new ModelLoadOptions { Threads = 1 });
        Assert.True(result.Passed, result.ToString());
    }

    // The reference library writes the family's default at the top level beside the rope parameters that are in force.
    [Fact]
    public void Rope_parameters_win_over_a_partial_factor_beside_them()
    {
        using var model = TestModels.Copy(TestModels.Golden("glm4_moe"));
        model.EditConfig(config => config["partial_rotary_factor"] = 0.25);
        var result = ModelVerifier.Verify(model.Path, new ModelLoadOptions { Threads = 1 });
        Assert.True(result.Passed, result.ToString());
    }

    // No parameters at all mean the family's YaRN; an empty object means none.
    [Fact]
    public void Empty_rope_parameters_of_gpt_oss_are_the_plain_kind()
    {
        using var model = TestModels.Copy(Path.Combine(TestModels.Data, "variants", "gpt_oss-plain-rope"));
        model.EditConfig(config =>
        {
            config["rope_theta"] = config["rope_parameters"]!["rope_theta"]!.DeepClone();
            config["rope_parameters"] = new System.Text.Json.Nodes.JsonObject();
        });
        var result = ModelVerifier.Verify(model.Path, new ModelLoadOptions { Threads = 1 });
        Assert.True(result.Passed, result.ToString());
    }
}
