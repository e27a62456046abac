using System.CommandLine;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Tests.Verify;

public class VerifyCommandTests
{
    [Fact]
    public void Json_names_the_outcome_and_the_exit_code_is_0()
    {
        var (code, output) = Run("verify", TestModels.Golden("mixtral"), "--expert-budget", "144Ki", "--threads", "1", "-o", "json");
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
        var (code, output) = Run("verify", model.Path, "--threads", "1");
        Assert.Equal(1, code);
        Assert.Contains("FAILED", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        string model = TestModels.Golden("mixtral");
        Assert.StartsWith("--expert-budget is \"4MiB\"", Refused("verify", model, "--expert-budget", "4MiB"), StringComparison.Ordinal);
        Assert.StartsWith("--output is \"yaml\"", Refused("verify", model, "-o", "yaml"), StringComparison.Ordinal);
        using var copy = TestModels.Copy(model);
        File.Delete(copy.File_("expected.safetensors"));
        Assert.Contains("expected.safetensors: is missing", Refused("verify", copy.Path), StringComparison.Ordinal);
        File.Copy(copy.File_("model.safetensors"), copy.File_("expected.safetensors"));
        Assert.Contains("tensor \"input_ids\" is missing", Refused("verify", copy.Path), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1", 1)]
    [InlineData("4Mi", 4L << 20)]
    [InlineData("1.5Gi", 3L << 29)]
    [InlineData("2M", 2_000_000)]
    [InlineData("1e6", 1_000_000)]
    public void Quantities_are_read(string text, long expected)
    {
        Assert.True(ByteQuantity.TryParse(text, out long bytes));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("-1")]
    [InlineData("1.5")]
    [InlineData("4MB")]
    [InlineData("9e99")]
    [InlineData("99999Ei")]
    public void Other_texts_are_not_quantities(string text) => Assert.False(ByteQuantity.TryParse(text, out _));

    private static string Refused(params string[] arguments) => Assert.Throws<UserInputException>(() => Run(arguments)).Message;

    private static (int Code, string Output) Run(params string[] arguments)
    {
        var root = new RootCommand();
        foreach (var command in InferenceModelCommands.Create())
            root.Add(command);
        using var output = new StringWriter();
        int code = root.Parse(arguments).Invoke(new InvocationConfiguration { Output = output, EnableDefaultExceptionHandler = false });
        return (code, output.ToString());
    }
}
