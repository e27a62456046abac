using System.CommandLine;
using Moebius.Crds.Host;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Models;
using Moebius.Inference.Storage;

namespace Moebius.Inference.Server;

/// <summary>The command that serves a model.</summary>
public static class ServeCommands
{
    /// <summary>Makes <c>serve</c>.</summary>
    public static IEnumerable<Command> Create()
    {
        var model = new Option<string?>("--model") { Description = "Directory of the model, in Hub layout.", HelpName = "DIR", Required = true };
        var config = new Option<string?>("--config") { Description = "Configuration file (YAML); flags override it.", HelpName = "FILE" };
        var name = new Option<string?>("--served-model-name") { Description = "Name that clients ask for. Default: modelName of the configuration, or the directory's name.", HelpName = "NAME" };
        var listen = new Option<string?>("--listen") { Description = "Address and port of the HTTP API. Default: 0.0.0.0 and serving.port (8000).", HelpName = "HOST:PORT" };
        var metrics = new Option<string?>("--metrics-listen") { Description = "Address and port of /metrics, which clients of the API then do not see. Default: with the API.", HelpName = "HOST:PORT" };
        var socket = new Option<string?>("--kv-socket") { Description = "Unix socket of the SafeKV sidecar. Default: no prefix cache.", HelpName = "PATH" };
        var policy = new Option<string?>("--policy") { Description = "KVPrivacyPolicy manifest that says how tenants are told apart; taken up again when it changes.", HelpName = "FILE" };
        var experts = new ExpertFlags();
        var threads = new Option<int?>("--threads") { Description = "Compute threads. Default: serving.threads, or one per processor.", HelpName = "N" };
        var parser = new Option<string?>("--tool-call-parser") { Description = $"How the model writes calls of tools: {string.Join(", ", Enum.GetNames<ToolCallParser>())}. Default: serving.toolCallParser, or Auto (as its chat template shows).", HelpName = "FORMAT" };
        var reasoning = new Option<string?>("--reasoning-parser") { Description = $"How the model writes its reasoning: {string.Join(", ", Enum.GetNames<ReasoningParser>())}. Default: serving.reasoningParser, or Auto (as its chat template shows).", HelpName = "FORMAT" };
        var logFormat = ConsoleLog.Option();
        var command = new Command("serve", "Serve a model over the OpenAI-compatible HTTP API.") { model, config, name, listen, metrics, socket, policy, threads, parser, reasoning, logFormat };
        experts.AddTo(command);
        command.SetAction(async (parsed, stop) =>
        {
            LibC.ShareHeap();
            var options = ServeOptions.Resolve(
                new ServeOptions.Flags(
                    parsed.GetValue(model),
                    parsed.GetValue(config),
                    parsed.GetValue(name),
                    parsed.GetValue(listen),
                    parsed.GetValue(socket),
                    parsed.GetValue(policy),
                    parsed.GetValue(threads),
                    experts.Read(parsed),
                    parsed.GetValue(parser),
                    parsed.GetValue(reasoning),
                    ConsoleLog.Parse(parsed.GetValue(logFormat)!),
                    parsed.GetValue(metrics)),
                Environment.GetEnvironmentVariable);
            var load = (IProgress<ModelLoadProgress> progress) => ModelLoader.Load(options.ModelDirectory, options.Experts.Apply(new ModelLoadOptions
            {
                Threads = options.Threads ?? ModelLoadOptions.DefaultThreads,
                BlockTokens = options.BlockTokens,
                Progress = progress,
            }));
            var server = await InferenceServer.StartAsync(options, load, TimeProvider.System).ConfigureAwait(false);
            await using (server.ConfigureAwait(false))
                await server.RunAsync(stop).ConfigureAwait(false);
            return 0;
        });
        yield return command;
    }
}
