using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;
using k8s;
using Microsoft.Extensions.Logging;
using Moebius.Crds;
using Moebius.Crds.Host;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.Validation;
using Moebius.Operator.Runtime;
using Moebius.Operator.Webhook;

namespace Moebius.Operator;

/// <summary>The verbs of the operator.</summary>
public static partial class OperatorCommands
{
    internal const string AllNamespaces = "all";

    /// <summary><c>moebius operator</c> with its verbs.</summary>
    public static IEnumerable<Command> Create()
    {
        yield return new Command("operator", "Runs the Kubernetes operator and writes its manifests.") { Run(), Rbac(), NodeAgents(), Webhook(), CheckCommand.Create(ClusterAccess.Find) };
    }

    private static Command Run()
    {
        var kubeconfig = new Option<string?>("--kubeconfig") { Description = "Kubeconfig file. Without it: the pod's own account, else KUBECONFIG, else ~/.kube/config." };
        var @namespace = new Option<string>("--namespace") { Description = "The one namespace to work in, or 'all'.", DefaultValueFactory = _ => AllNamespaces };
        var operatorNamespace = new Option<string>("--operator-namespace") { Description = "Namespace of the operator's Lease and of the node agents.", DefaultValueFactory = _ => OperatorSettings.DefaultNamespace };
        var listen = new Option<string>("--listen") { Description = "Address and port of /healthz, /readyz and /metrics.", DefaultValueFactory = _ => "0.0.0.0:8081" };
        var image = new Option<string>("--image") { Description = "Image of containers whose resource names none; {component} in it stands for inference, kvcache, node-agent or prompt-optimizer.", DefaultValueFactory = _ => OperatorSettings.DefaultImage };
        var leaderElect = new Option<bool>("--leader-elect") { Description = "Work only while holding a Lease, so that several replicas can run.", DefaultValueFactory = _ => true };
        var workers = new Option<int>("--workers") { Description = "Objects of one kind that are worked on at once.", DefaultValueFactory = _ => OperatorOptions.DefaultWorkers };
        var sharedPodMonitor = new Option<bool>("--shared-pod-monitor") { Description = "One PodMonitor for all inference pods exists: MoEDeployments make their own only with integrations.podMonitor Required." };
        var webhookListen = new Option<string?>("--webhook-listen") { Description = "Address and port of the validating webhook's HTTPS. Default: no webhook." };
        var webhookService = new Option<string>("--webhook-service") { Description = "Namespace and name of the webhook's Service, for its certificate.", DefaultValueFactory = _ => $"{OperatorSettings.DefaultNamespace}/{CertificateKeeper.SecretName}" };
        var webhookConfiguration = new Option<string>("--webhook-configuration") { Description = "ValidatingWebhookConfiguration whose caBundle is kept up to date.", DefaultValueFactory = _ => WebhookOptions.DefaultConfiguration };
        var webhookCertificates = new Option<string?>("--webhook-cert-dir") { Description = "Directory with tls.crt and tls.key that somebody else renews, such as cert-manager. Default: the operator keeps a certificate of its own." };
        var logFormat = ConsoleLog.Option();
        var identity = new Option<string>("--identity") { Description = "Name of this process among the replicas.", DefaultValueFactory = _ => $"{Environment.MachineName}_{Guid.NewGuid().ToString("N", CultureInfo.InvariantCulture)[..8]}" };
        var command = new Command("run", "Reconciles Moebius resources until stopped.") { kubeconfig, @namespace, operatorNamespace, listen, image, leaderElect, workers, sharedPodMonitor, logFormat, identity, webhookListen, webhookService, webhookConfiguration, webhookCertificates };
        command.SetAction((parsed, cancellationToken) =>
        {
            var one = Namespace(parsed.GetValue(@namespace)!, "--namespace");
            var log = ConsoleLog.Parse(parsed.GetValue(logFormat)!);
            if (parsed.GetValue(webhookListen) is null && new Option[] { webhookService, webhookConfiguration, webhookCertificates }.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } idle)
                throw new UserInputException($"{idle.Name}: has no effect without a webhook: give --webhook-listen too, or leave it out");
            var (images, name) = (NotBlank(parsed.GetValue(image)!, "--image"), NotBlank(parsed.GetValue(identity)!, "--identity"));
            var configuration = ClusterAccess.Find(parsed.GetValue(kubeconfig));
            var settings = new OperatorSettings(images, Namespace(parsed.GetValue(operatorNamespace)!, "--operator-namespace")) 
            {
                SharedPodMonitor = parsed.GetValue(sharedPodMonitor),
                LogFormat = log,
            };
            var options = new OperatorOptions(
                // A service account says in which namespace the pod is; a kubeconfig's namespace is where its user likes to work.
                parsed.GetValue(kubeconfig) is null && KubernetesClientConfiguration.IsInCluster() ? settings with { PodNamespace = configuration.Namespace } : settings,
                one == AllNamespaces ? null : one,
                ListenAddress.Parse(parsed.GetValue(listen)!, "--listen"),
                parsed.GetValue(leaderElect),
                name,
                Workers(parsed.GetValue(workers)))
            {
                Webhook = parsed.GetValue(webhookListen) is { } address
                    ? new WebhookOptions(ListenAddress.Parse(address, "--webhook-listen"), WebhookOptions.NamesOf(parsed.GetValue(webhookService)!), parsed.GetValue(webhookConfiguration)!, Directory(parsed.GetValue(webhookCertificates)))
                    : null,
            };
            return RunAsync(options, configuration, cancellationToken);
        });
        return command;
    }

    private static Command Rbac() => Manifest("rbac", "Writes the rights that the controllers need, from their attributes.", RbacGenerator.Yaml);

    private static Command NodeAgents() => Manifest("node-agents", "Writes the rights of the node agents.", NodeAgentRights.Yaml);

    private static Command Webhook() => Manifest("webhook", "Writes the rights, the Service and the configuration of the validating webhook.", WebhookManifests.Yaml);

    /// <summary>A command that writes YAML for the operator's namespace.</summary>
    private static Command Manifest(string name, string description, Func<string, string> yaml)
    {
        var @namespace = new Option<string>("--operator-namespace") { Description = "Namespace of the operator.", DefaultValueFactory = _ => OperatorSettings.DefaultNamespace };
        var output = new Option<string?>("--output", "-o") { Description = "File to write. Without it: standard output." };
        var command = new Command(name, description) { @namespace, output };
        command.SetAction(parsed =>
        {
            var text = yaml(Namespace(parsed.GetValue(@namespace)!, "--operator-namespace"));
            if (parsed.GetValue(output) is { } file)
                OutputFiles.Write("--output", file, text);
            else
                Console.Write(text);
            return 0;
        });
        return command;
    }

    private static async Task<int> RunAsync(OperatorOptions options, KubernetesClientConfiguration configuration, CancellationToken cancellationToken)
    {
        using var loggers = LoggerFactory.Create(builder => builder.AddLines(options.Settings.LogFormat).SetMinimumLevel(LogLevel.Information));
        return await new OperatorHost(options, configuration, TimeProvider.System, loggers).RunAsync(cancellationToken).ConfigureAwait(false) ? 0 : 1;
    }

    /// <summary>A name that a namespace can have.</summary>
    /// <exception cref="UserInputException">It cannot.</exception>
    internal static string Namespace(string name, string flag) => name.Length is > 0 and <= NameCheck.LabelLength && NamespaceName().IsMatch(name)
        ? name
        : throw new UserInputException($"{flag}: '{name}' cannot be the name of a namespace: write at most 63 lower-case letters, digits and '-', a letter or digit first and last");

    [GeneratedRegex("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", RegexOptions.CultureInvariant)]
    private static partial Regex NamespaceName();

    /// <summary>A text with something in it: a Lease whose holder has no name would be nobody's, and two replicas would both take it.</summary>
    private static string NotBlank(string text, string flag) => !string.IsNullOrWhiteSpace(text)
        ? text
        : throw new UserInputException($"{flag}: is empty: write a name, or leave the flag out");

    private static int Workers(int workers) => workers is >= 1 and <= 256
        ? workers
        : throw new UserInputException($"--workers: {workers} is out of range: write a whole number from 1 to 256");

    private static string? Directory(string? path) => path is null || System.IO.Directory.Exists(path)
        ? path
        : throw new UserInputException($"--webhook-cert-dir: '{path}' is not a directory: it must hold tls.crt and tls.key");
}
