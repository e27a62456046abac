using System.CommandLine;
using Moebius.Crds;

namespace Moebius.Cli.Local;

/// <summary>The verbs of <c>moebius local</c>: the whole product on one machine, without a cluster.</summary>
internal static class LocalCommands
{
    /// <summary>The instance that no name was given to.</summary>
    public const string DefaultName = "default";

    private static readonly Option<string> Name = new("--name") { Description = "Name of the local instance.", DefaultValueFactory = _ => DefaultName };

    public static IEnumerable<Command> Create()
    {
        yield return new Command("local", "Run the planned containers as processes on this machine; no cluster needed.")
        {
            Up(),
            Down(),
            Status(),
            Supervise(),
        };
    }

    private static Command Up()
    {
        var file = new Option<string[]>("--filename", "-f") { Description = "Manifests to apply; - for standard input.", Required = true };
        var dryRun = new Option<string>("--dry-run") { Description = "client: print what would run, start nothing.", DefaultValueFactory = _ => "none" };
        var output = new Option<string>("--output", "-o") { Description = "Format of --dry-run=client: yaml.", DefaultValueFactory = _ => "yaml" };
        var hostPaths = new Option<string[]>("--host-path") { Description = "FROM=TO: look for hostPath volumes below FROM in TO on this machine." };
        var chat = new Option<string?>("--chat") { Description = "When all is ready, send this chat message and show the answer and the figures." };
        var detach = new Option<bool>("--detach", "-d") { Description = "Leave everything running in the background ('moebius local down' stops it)." };
        var timeout = new Option<string>("--timeout") { Description = "How long everything may take to become ready.", DefaultValueFactory = _ => "5m" };
        var command = new Command("up", "Start everything that the manifests ask for.") { file, dryRun, output, hostPaths, chat, detach, timeout, Name };
        command.SetAction((parsed, stop) =>
        {
            Allowed("--dry-run", parsed.GetValue(dryRun)!, "none", "client");
            Allowed("--output", parsed.GetValue(output)!, "yaml");
            var printsOnly = parsed.GetValue(dryRun) == "client";
            foreach (var option in printsOnly ? (ReadOnlySpan<Option>)[chat, detach, timeout, hostPaths, Name] : [output])
            {
                if (parsed.GetResult(option) is { Implicit: false })
                    throw new UserInputException($"{option.Name}: has no effect {(printsOnly ? "with" : "without")} --dry-run=client: leave it out");
            }

            return new UpAction(
                parsed.GetRequiredValue(file),
                parsed.GetValue(Name)!,
                HostPathMap.Parse(parsed.GetValue(hostPaths) ?? []),
                parsed.GetValue(chat),
                parsed.GetValue(detach),
                Durations.ParsePositive(parsed.GetValue(timeout)!, "--timeout")).RunAsync(printsOnly, stop);
        });
        return command;
    }

    private static Command Down()
    {
        var command = new Command("down", "Stop everything that 'up' started and remove its files.") { Name };
        command.SetAction(async (parsed, stop) =>
        {
            var state = StateDirectory.Of(parsed.GetValue(Name)!);
            Console.WriteLine(await LocalInstance.StopAsync(state, stop).ConfigureAwait(false) ? "stopped" : "nothing is running");
            return 0;
        });
        return command;
    }

    private static Command Status()
    {
        var command = new Command("status", "Show what is running.") { Name };
        command.SetAction(parsed =>
        {
            var state = StateDirectory.Of(parsed.GetValue(Name)!);
            if (LocalInstance.Status(state) is not { } status)
            {
                Console.WriteLine("nothing is running");
                return ExitCodes.Failed;
            }

            foreach (var container in status.Containers)
            {
                var ports = string.Join(", ", container.Ports.Select(port => $"{port.Key} http://127.0.0.1:{port.Value}"));
                Console.WriteLine($"{container.Pod + "/" + container.Name,-32} {container.State,-10} {container.Restarts,2} restarts  {ports} {container.Message}".TrimEnd());
            }

            return status.Ready ? 0 : ExitCodes.Failed;
        });
        return command;
    }

    private static Command Supervise()
    {
        var command = new Command("supervise", "Run the plan of an instance (started by 'up').") { Name };
        command.Hidden = true;
        command.SetAction(async (parsed, stop) =>
        {
            var state = StateDirectory.Of(parsed.GetValue(Name)!);
            Native.Detach(Path.Combine(state.Logs, "supervisor.log"));
            var plan = StateDirectory.Read<LocalPlan>(state.PlanFile) ?? throw new UserInputException($"{state.PlanFile}: missing: 'moebius local up' writes it");
            return await new Supervisor(state, plan).RunAsync(stop).ConfigureAwait(false);
        });
        return command;
    }

    private static void Allowed(string option, string value, params string[] values)
    {
        if (!values.Contains(value))
            throw new UserInputException($"{option}: '{value}' is not known: use {string.Join(" or ", values)}");
    }
}
