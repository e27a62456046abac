using System.CommandLine;
using Moebius.Inference.Verify;

namespace Moebius.Inference.Tests.Verify;

/// <summary>Runs the model commands as the command line does.</summary>
internal static class ModelCommands
{
    public static (int Code, string Output) Run(params string[] arguments)
    {
        var root = new RootCommand();
        foreach (var command in InferenceModelCommands.Create())
            root.Add(command);
        using var output = new StringWriter();
        var code = root.Parse(arguments).Invoke(new InvocationConfiguration { Output = output, EnableDefaultExceptionHandler = false });
        return (code, output.ToString());
    }
}
