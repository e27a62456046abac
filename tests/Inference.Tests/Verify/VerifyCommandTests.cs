using System.Text.Json;
using Moebius.Crds;

namespace Moebius.Inference.Tests.Verify;

[Trait("Category", "Component")]
public class VerifyCommandTests
{
    [Fact]
    public void Json_names_the_outcome_and_the_exit_code_is_0()
    {
        var (code, output) = ModelCommands.Run("verify", TestModels.Golden("mixtral"), "--expert-budget", "144Ki", "--threads", "1", "-o", "json");
        using var json = JsonDocument.Parse(output);
        Assert.Equal(0, code);
        Assert.InRange(json.RootElement.GetProperty("maxAbsError").GetDouble(), 0, 2e-3);
        Assert.True(json.RootElement.GetProperty("greedyIdentical").GetBoolean());
        Assert.Equal(144 * 1024, json.RootElement.GetProperty("expertBudgetBytes").GetInt64());
        Assert.True(json.RootElement.GetProperty("expertMisses").GetInt64() > 0);
    }

    [Fact]
    public void A_model_that_differs_exits_1()
    {
        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        model.EditConfig(config => config["rms_norm_eps"] = 0.5);
        var (code, output) = ModelCommands.Run("verify", model.Path, "--threads", "1");
        Assert.Equal(1, code);
        Assert.Contains("FAILED", output, StringComparison.Ordinal);
    }

    /// <summary>Logits that overflow are the worst that can be found, and found they must be said.</summary>
    [Fact]
    public void An_error_that_is_no_number_is_printed_and_exits_1()
    {
        using var model = TestModels.Copy(TestModels.Golden("granitemoe"));
        model.EditConfig(config => config["logits_scaling"] = 1e-40);
        var (code, output) = ModelCommands.Run("verify", model.Path, "--threads", "1", "-o", "json");
        using var json = JsonDocument.Parse(output);
        Assert.Equal(1, code);
        Assert.Equal("Infinity", json.RootElement.GetProperty("maxAbsError").GetString());
        Assert.False(json.RootElement.GetProperty("passed").GetBoolean());
    }

    [Theory]
    [InlineData("int8")]
    [InlineData("int4")]
    public void Quantised_experts_are_judged_by_what_they_may_change(string quantization)
    {
        foreach (var family in Directory.GetDirectories(Path.Combine(TestModels.Data, "golden")).Select(Path.GetFileName))
        {
            var (code, output) = ModelCommands.Run("verify", TestModels.Golden(family!), "--threads", "1", "--quantize", quantization);
            Assert.True(code == 0, output);
            Assert.Contains($"with experts in {quantization}", output, StringComparison.Ordinal);
        }

        using var model = TestModels.Copy(TestModels.Golden("mixtral"));
        model.EditConfig(config => config["rms_norm_eps"] = 1e3);
        var (failed, words) = ModelCommands.Run("verify", model.Path, "--threads", "1", "--quantize", quantization);
        Assert.Equal(1, failed);
        Assert.Contains("FAILED", words, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        var model = TestModels.Golden("mixtral");
        Assert.StartsWith("--expert-budget: '4MiB' is not a quantity", Refused("verify", model, "--expert-budget", "4MiB"), StringComparison.Ordinal);
        Assert.StartsWith("--output yaml: must be text or json", Refused("verify", model, "-o", "yaml"), StringComparison.Ordinal);
        using var copy = TestModels.Copy(model);
        File.Delete(copy.File_("expected.safetensors"));
        Assert.Contains("expected.safetensors: is missing", Refused("verify", copy.Path), StringComparison.Ordinal);
        File.Copy(copy.File_("model.safetensors"), copy.File_("expected.safetensors"));
        Assert.Contains("tensor \"input_ids\" is missing", Refused("verify", copy.Path), StringComparison.Ordinal);
    }

    private static string Refused(params string[] arguments) => Assert.Throws<UserInputException>(() => ModelCommands.Run(arguments)).Message;
}
