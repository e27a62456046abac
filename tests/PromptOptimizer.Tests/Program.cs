using System.CommandLine;
using Moebius.Crds;

namespace Moebius.PromptOptimizer.Tests;

internal static class Program
{
    /// <summary>With this variable set, the program is the service itself and not its tests.</summary>
    internal const string ServeVariable = "MOEBIUS_PROMPT_OPTIMIZER_SERVE";

    private static async Task<int> Main(string[] args)
    {
        if (Environment.GetEnvironmentVariable(ServeVariable) is not null)
        {
            var root = new RootCommand();
            foreach (var command in PromptOptimizerCommands.Create())
                root.Subcommands.Add(command);
            try
            {
                return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
            }
            catch (UserInputException error)
            {
                await Console.Error.WriteLineAsync(error.Message);
                return 2;
            }
        }

        return args.Any(argument => argument is "--server" or "--internal-msbuild-node")
            ? await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
            : await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
    }
}
