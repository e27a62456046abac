using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Experts;
using Moebius.Inference.Text;

namespace Moebius.Inference.Models;

/// <summary>The command that packs a model's experts.</summary>
public static class PackCommands
{
    /// <summary>Makes <c>pack</c>. It throws <see cref="UserInputException"/> on bad input.</summary>
    public static IEnumerable<Command> Create()
    {
        var directory = new Argument<string>("MODEL") { Description = "Model directory in Hub layout." };
        var output = new Option<string?>("--out") { Description = "Directory for the packed file. Default: the model's.", HelpName = "DIR" };
        var quantize = new Option<string?>("--quantize") { Description = "Store experts as int8 or int4, for loads with the same flag. Default: none, as in the checkpoint.", HelpName = "none|int8|int4" };
        var format = new OutputFormat();
        var command = new Command("pack", "Write a model's experts into one aligned file, so that loading one is one read. 'serve' uses it where it lies beside the model.") { directory, output, quantize, format };
        command.SetAction((parsed, stop) =>
        {
            var json = format.IsJson(parsed);
            var quantization = parsed.GetValue(quantize) is { } name ? ExpertQuantizations.Parse(name) : ExpertQuantization.None;
            var result = ModelPacker.Pack(parsed.GetRequiredValue(directory), parsed.GetValue(output), quantization, null, stop);
            parsed.InvocationConfiguration.Output.WriteLine(json ? JsonSerializer.Serialize(result, JsonStyles.Printed) : string.Create(
                CultureInfo.InvariantCulture, $"{result.Path}: {result.Experts} experts of {result.ExpertBytes} bytes ({result.Type}), {result.Bytes} bytes in all"));
            return Task.FromResult(0);
        });
        yield return command;
    }
}
