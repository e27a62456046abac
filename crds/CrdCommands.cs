using System.CommandLine;
using Moebius.Crds.Generation;
using Moebius.Crds.Validation;

namespace Moebius.Crds;

/// <summary>Command-line verbs of the custom resources.</summary>
public static class CrdCommands
{
    /// <summary>The verbs <c>crds generate</c>, <c>crds check</c> and <c>validate</c>.</summary>
    /// <param name="check">What <c>validate</c> checks beside schemas and rules.</param>
    public static IEnumerable<Command> Create(ResourceCheck check) => [Crds(), Validate(check)];

    private static Command Crds()
    {
        var output = new Option<string>("--output") { Description = "Folder of the CustomResourceDefinitions.", DefaultValueFactory = _ => Path.Combine("crds", "manifests") };
        var reference = new Option<string>("--reference") { Description = "Path of the API reference.", DefaultValueFactory = _ => Path.Combine("docs", "api.md") };
        var generate = new Command("generate", "Write the CustomResourceDefinitions and the API reference from the types.") { output, reference };
        generate.SetAction(parsed =>
        {
            foreach (var path in GeneratedFiles.Write(parsed.GetValue(output)!, parsed.GetValue(reference)!))
                parsed.InvocationConfiguration.Output.WriteLine((File.Exists(path) ? "wrote " : "removed ") + path);
        });
        var check = new Command("check", "Exit with 1 when a generated file differs from what the types say.") { output, reference };
        check.SetAction(parsed =>
        {
            var differences = GeneratedFiles.Differences(parsed.GetValue(output)!, parsed.GetValue(reference)!);
            foreach (var path in differences)
                parsed.InvocationConfiguration.Error.WriteLine($"{path}: differs from what the types generate: run `moebius crds generate` (make crds)");
            return differences.Count == 0 ? 0 : 1;
        });
        return new Command("crds", "The CustomResourceDefinitions of the API group moebius.dev.") { generate, check };
    }

    private static Command Validate(ResourceCheck check)
    {
        var files = new Option<string[]>("--filename", "-f") { Description = "Manifest files to check; - is standard input.", Required = true, AllowMultipleArgumentsPerToken = true, Arity = ArgumentArity.OneOrMore };
        var command = new Command("validate", "Check manifests of Moebius resources offline: against their schemas and rules, and as the operator does before it makes anything.") { files };
        command.SetAction(parsed =>
            ManifestReport.Write(parsed.GetValue(files)!, check, parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error) ? 0 : 2);
        return command;
    }
}
