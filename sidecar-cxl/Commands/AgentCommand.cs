using System.CommandLine;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.Host;
using Moebius.Cxl.Agent;

namespace Moebius.Cxl.Commands;

/// <summary><c>moebius cxl agent</c>.</summary>
internal static class AgentCommand
{
    public static Command Create()
    {
        var config = new Option<string?>("--config") { Description = "The profile's settings (NodeAgentConfig, YAML). Without it: defaults." };
        var sysfs = CommonOptions.Sysfs();
        var procfs = new Option<string>("--procfs") { Description = "Where procfs is mounted.", DefaultValueFactory = _ => "/proc" };
        var cgroups = new Option<string?>("--cgroups") { Description = "Where the cgroup hierarchy is mounted. Without it: found below sysfs." };
        var state = CommonOptions.State();
        var listen = new Option<string>("--listen") { Description = "Address and port of /healthz, /readyz, /metrics and /status.", DefaultValueFactory = _ => "0.0.0.0:9402" };
        var node = new Option<string?>("--node-name") { Description = $"This node's name, to look up its pods. Without it: {ContainerVariables.NodeName}; without that, pods are not looked up.", DefaultValueFactory = _ => Environment.GetEnvironmentVariable(ContainerVariables.NodeName) is { Length: > 0 } name ? name : null };
        var kubeconfig = new Option<string?>("--kubeconfig") { Description = "How to reach the cluster. Without it: the pod's own account, else KUBECONFIG, else ~/.kube/config." };
        var top = new Option<int>("--top") { Description = "Cgroups listed in a report, busiest first.", DefaultValueFactory = _ => 20 };
        var once = new Option<bool>("--once") { Description = "Count for one interval, print the level that the node would work at and the report, and exit. Changes nothing." };
        var output = new OutputFormat();
        var logFormat = ConsoleLog.Option();
        var command = new Command("agent", "Run the node agent: count memory traffic per cgroup and schedule it as far as the kernel allows.")
        {
            config, sysfs, procfs, cgroups, state, listen, node, kubeconfig, top, once, output, logFormat,
        };
        command.SetAction(async (parse, cancellation) =>
        {
            var json = output.IsJson(parse);
            var reports = parse.GetValue(once);
            foreach (var option in reports ? (ReadOnlySpan<Option>)[listen, node, kubeconfig, logFormat] : [output])
            {
                if (parse.GetResult(option) is { Implicit: false })
                    throw new UserInputException($"{option.Name}: has no effect {(reports ? "with" : "without")} --once: leave it out");
            }

            if (parse.GetRequiredValue(top) < 0)
                throw new UserInputException($"--top {parse.GetRequiredValue(top)}: must be 0 or more");
            var options = new AgentOptions
            {
                Sysfs = parse.GetRequiredValue(sysfs),
                Procfs = parse.GetRequiredValue(procfs),
                Cgroups = parse.GetValue(cgroups),
                State = parse.GetRequiredValue(state),
                NodeName = parse.GetValue(node),
                Kubeconfig = parse.GetValue(kubeconfig),
                TopCgroups = parse.GetRequiredValue(top),
                ReportOnly = reports,
                LogFormat = ConsoleLog.Parse(parse.GetRequiredValue(logFormat)),
            };
            if (parse.GetValue(config) is { } path)
                options = options with { Config = AgentOptions.LoadConfig(path) };
            if (reports)
            {
                var status = await OnceAsync(options, cancellation).ConfigureAwait(false);
                var console = parse.InvocationConfiguration.Output;
                if (json)
                    await console.WriteLineAsync(JsonSerializer.Serialize(status, AgentServer.Json)).ConfigureAwait(false);
                else
                    StatusText.Write(status, console);
                return status.Ready ? 0 : 1;
            }

            await AgentServer.RunAsync(options, ListenAddress.Parse(parse.GetRequiredValue(listen), listen.Name), cancellation).ConfigureAwait(false);
            return 0;
        });
        return command;
    }

    private static async Task<AgentStatus> OnceAsync(AgentOptions options, CancellationToken cancellation)
    {
        // The report goes to stdout; only what is wrong is logged, to stderr.
        using var logging = LoggerFactory.Create(builder => builder.AddSimpleConsole(console => console.SingleLine = true)
            .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace).SetMinimumLevel(LogLevel.Error));
        using var agent = new NodeAgent(options, new AgentMetrics(), logging.CreateLogger<NodeAgent>());
        agent.Tick();
        await Task.Delay(agent.Interval, cancellation).ConfigureAwait(false);
        agent.Tick();
        return agent.Status;
    }
}
