using Moebius.KvCache.Tests.Service;
using Moebius.KvCache.Tests.Tiers;

namespace Moebius.KvCache.Tests;

/// <summary>The tests' entry point, which can also act as an engine or as a server that is killed.</summary>
internal static class Program
{
    public const string EngineArgument = "--act-as-engine";
    public const string ServerArgument = "--act-as-server";

    public static async Task<int> Main(string[] args)
    {
        if (args is [EngineArgument, var socket])
        {
            await KilledClientTests.HoldAsync(socket);
            return 0;
        }

        if (args is [ServerArgument, var folder])
        {
            await KilledServerTests.ServeAsync(folder);
            return 0;
        }

        // As the entry point that the test framework would generate.
        return args.Any(argument => argument is "--server" or "--internal-msbuild-node")
            ? await Xunit.MicrosoftTestingPlatform.TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
            : await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
    }
}
