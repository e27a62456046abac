using System.CommandLine;
using Microsoft.Extensions.Hosting;
using Moebius.Crds.Host;

namespace Moebius.PromptOptimizer;

/// <summary>The commands of this part.</summary>
public static class PromptOptimizerCommands
{
    /// <summary>The <c>prompt-optimizer</c> command with its subcommand <c>serve</c>, for the <c>moebius</c> command line.</summary>
    public static IEnumerable<Command> Create()
    {
        var command = new Command("prompt-optimizer", "Turn short text-to-image prompts into detailed ones.");
        command.Subcommands.Add(Serve());
        yield return command;
    }

    private static Command Serve()
    {
        var config = new Option<string>("--config")
        {
            Description = "Configuration file (YAML). Keys come in MOEBIUS_LLM_API_KEY, MOEBIUS_SCORER_API_KEY and MOEBIUS_IMAGE_API_KEY, the connection to PostgreSQL in MOEBIUS_STORE_CONNECTION.",
            Required = true,
            HelpName = "FILE",
        };
        var data = new Option<string?>("--data") { Description = "Folder of the job store Sqlite; made if missing.", HelpName = "DIR" };
        var listen = new Option<string>("--listen") { Description = "Address and port of the HTTP API.", DefaultValueFactory = _ => "0.0.0.0:8080", HelpName = "ADDRESS:PORT" };
        var clipRoot = new Option<string>("--clip-root") { Description = "Folder in which scorer.clip.path of the configuration is looked for.", DefaultValueFactory = _ => OptimizerSettings.DefaultClipRoot, HelpName = "DIR" };
        var logFormat = ConsoleLog.Option();
        var command = new Command("serve", "Serve the prompt-optimization API and its web page.") { config, data, listen, clipRoot, logFormat };
        command.SetAction((result, cancel) => RunAsync(result.GetRequiredValue(config), result.GetValue(data), result.GetRequiredValue(listen), result.GetRequiredValue(clipRoot), ConsoleLog.Parse(result.GetRequiredValue(logFormat)), cancel));
        return command;
    }

    private static async Task<int> RunAsync(string config, string? data, string listen, string clipRoot, LogFormat log, CancellationToken cancel)
    {
        var settings = OptimizerSettings.Load(config, Environment.GetEnvironmentVariable, clipRoot);
        var address = ListenAddress.Parse(listen, "--listen");
        await using var app = PromptService.Build(settings, data, address, log: log);
        await PromptService.StartAsync(app, address, cancel).ConfigureAwait(false);
        await app.WaitForShutdownAsync(cancel).ConfigureAwait(false);
        return 0;
    }
}
