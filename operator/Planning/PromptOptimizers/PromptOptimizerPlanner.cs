using System.Globalization;
using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Config;
using Moebius.Crds.V1Alpha1;
using Moebius.Crds.Validation;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Validation;

namespace Moebius.Operator.Planning.PromptOptimizers;

/// <summary>Plans the service of a PromptOptimizer.</summary>
public static class PromptOptimizerPlanner
{
    private const string ConfigFile = "optimizer.yaml";

    /// <summary>Plans ServiceAccount, ConfigMap, Service, NetworkPolicy, volume claim (for Sqlite) and Deployment.</summary>
    /// <param name="resource">The PromptOptimizer.</param>
    /// <param name="model">The MoEDeployment it refers to; null when there is none of that name.</param>
    /// <param name="settings">The operator's settings.</param>
    /// <param name="server">What the API server can do.</param>
    public static Plan Plan(PromptOptimizer resource, MoEDeployment? model, OperatorSettings settings, ServerCapabilities server)
    {
        var problems = Problems(resource, server).ToList();
        if (problems.Any(problem => problem.Reason == Reasons.InvalidSpec))
            return Planning.Plan.Blocked(problems, []);
        var (endpoint, resolved) = Resolve(resource, model);
        if (endpoint is null)
            problems.Add(new Problem(resolved.Reason, resolved.Message, Blocks: true));
        if (endpoint is null || problems.Any(problem => problem.Blocks))
            return Planning.Plan.Blocked(problems, [resolved]);

        var owner = resource.Metadata.Name;
        var name = Names.PromptOptimizer(owner);
        var child = new ChildBuilder(resource, Components.PromptOptimizer, resource.Metadata.NamespaceProperty);
        var config = Config(resource.Spec, endpoint);
        var children = new List<IKubernetesObject<V1ObjectMeta>>
        {
            child.ServiceAccount(name),
            child.ConfigMap(Names.PromptOptimizerConfig(owner), new Dictionary<string, string> { [ConfigFile] = config }),
            child.Service(name, ("http", resource.Spec.Port)),
        };
        if (resource.Spec.NetworkPolicy.Enabled && server.NetworkPolicies)
            children.Add(OptimizerNetworkPolicy.Plan(resource, resource.Spec.LanguageModel.Endpoint is null ? model : null, child, settings));
        if (resource.Spec.Store.Type == JobStoreType.Sqlite)
            children.Add(child.Claim(Names.PromptOptimizerData(owner), "ReadWriteOnce", resource.Spec.Store.StorageClassName, resource.Spec.Store.Size));
        children.Add(Deployment(resource, child, config, settings, server));
        return new Plan(children, problems, [resolved]);
    }

    /// <summary>Base URL of the service inside the cluster, without a slash at the end.</summary>
    internal static string Endpoint(PromptOptimizer resource) =>
        Names.ServiceUrl(Names.PromptOptimizer(resource.Metadata.Name), resource.Metadata.NamespaceProperty, resource.Spec.Port);

    private static IEnumerable<Problem> Problems(PromptOptimizer resource, ServerCapabilities server)
    {
        var room = NameCheck.LabelLength - Names.PromptOptimizer("").Length;
        var errors = NameCheck.Errors(resource.Metadata.Name, room).Concat(SpecCheck.Errors(resource.Spec, "spec").Select(error => error.ToString())).ToList();
        if (errors.Count == 0)
            errors.AddRange(CrossField(resource.Spec));
        foreach (var error in errors)
            yield return new Problem(Reasons.InvalidSpec, error, Blocks: true);
        if (errors.Count > 0)
            yield break;

        var spec = resource.Spec;
        if (PlacementCheck.Missing(spec.NetworkPolicy, server) is { } problem)
            yield return problem;
    }

    private static IEnumerable<string> CrossField(PromptOptimizerSpec spec)
    {
        foreach (var error in ResourcesCheck.Errors(spec.Resources, "spec.resources"))
            yield return error;
        if (spec.Scorer.Type != ScorerType.Text && spec.ImageModel is null)
            yield return $"spec.scorer.type: {spec.Scorer.Type} judges images and spec.imageModel is not set: set it, or write Text";
        if (spec.Store.Address is { } address && (!int.TryParse(address.AsSpan(address.LastIndexOf(':') + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port is < 1 or > 65535))
            yield return $"spec.store.address: '{address}' is not a host and port: write one such as db.shop.svc:5432";
        foreach (var error in NameCheck.Positive(spec.Store.Size, "spec.store.size")
            .Concat(PlacementCheck.Labels(spec.Placement?.NodeSelector, "spec.placement.nodeSelector"))
            .Concat(PlacementCheck.Tolerations(spec.Placement?.Tolerations, "spec.placement.tolerations"))
            .Concat(PlacementCheck.NetworkPolicy(spec.NetworkPolicy, "spec.networkPolicy"))
            .Concat(OptimizerNetworkPolicy.Endpoints(spec).SelectMany(one => NameCheck.Catch(() => EndpointUrl.Parse(one.Endpoint, one.Field)))))
        {
            yield return error;
        }
    }

    private static (ModelEndpoint? Endpoint, PlannedCondition Condition) Resolve(PromptOptimizer resource, MoEDeployment? model)
    {
        var language = resource.Spec.LanguageModel;
        if (language.Endpoint is { } endpoint)
            return (endpoint, new(ConditionTypes.ModelResolved, ConditionStatus.True, Reasons.Resolved, $"model '{endpoint.Model}' at {endpoint.Url}"));
        var name = language.MoeDeploymentRef!.Name;
        if (model is null)
        {
            return (null, new(
                ConditionTypes.ModelResolved,
                ConditionStatus.False,
                Reasons.MoEDeploymentNotFound,
                $"spec.languageModel.moeDeploymentRef.name: there is no MoEDeployment '{name}' in namespace '{resource.Metadata.NamespaceProperty}': make it, or use spec.languageModel.endpoint"));
        }

        if (SpecCheck.Errors(model.Spec, "spec") is [var error, ..])
            return (null, new(ConditionTypes.ModelResolved, ConditionStatus.False, Reasons.MoEDeploymentInvalid, $"spec.languageModel.moeDeploymentRef.name: MoEDeployment '{name}' is not usable: {error}"));
        var found = new ModelEndpoint { Url = MoEDeploymentPlanner.Endpoint(model), Model = MoEDeploymentPlanner.ModelName(model) };
        if (language.Timeout is { } timeout)
            found.Timeout = timeout;
        return (found, new(ConditionTypes.ModelResolved, ConditionStatus.True, Reasons.Resolved, $"model '{found.Model}' of MoEDeployment '{name}'"));
    }

    private static string Config(PromptOptimizerSpec spec, ModelEndpoint endpoint) => Manifests.ToYaml(new PromptOptimizerConfig
    {
        LanguageModel = WithoutSecret(endpoint),
        Scorer = new ScorerSpec { Type = spec.Scorer.Type, Endpoint = spec.Scorer.Endpoint is { } scorer ? WithoutSecret(scorer) : null, Clip = spec.Scorer.Clip },
        ImageModel = spec.ImageModel is { } image ? new ImageModelSpec { Api = image.Api, Endpoint = WithoutSecret(image.Endpoint), Dialect = image.Dialect, Size = image.Size } : null,
        Rounds = spec.Rounds,
        DefaultBudget = spec.DefaultBudget,
        Store = spec.Store.Type,
        Jobs = spec.Jobs,
        Workers = spec.Workers,
    });

    private static ModelEndpoint WithoutSecret(ModelEndpoint endpoint) => new() { Url = endpoint.Url, Model = endpoint.Model, Timeout = endpoint.Timeout };

    private static V1Deployment Deployment(PromptOptimizer resource, ChildBuilder child, string config, OperatorSettings settings, ServerCapabilities server)
    {
        var owner = resource.Metadata.Name;
        var name = Names.PromptOptimizer(owner);
        var isFile = resource.Spec.Store.Type == JobStoreType.Sqlite;
        List<V1Volume> volumes = [Containers.ConfigMapVolume("config", Names.PromptOptimizerConfig(owner)), .. ClipVolume.Plan(resource.Spec, server)];
        if (isFile)
            volumes.Add(new V1Volume { Name = "data", PersistentVolumeClaim = new V1PersistentVolumeClaimVolumeSource { ClaimName = Names.PromptOptimizerData(owner) } });
        return new V1Deployment
        {
            ApiVersion = "apps/v1",
            Kind = "Deployment",
            Metadata = child.Metadata(name),
            Spec = new V1DeploymentSpec
            {
                Replicas = resource.Spec.Replicas,
                Selector = new V1LabelSelector { MatchLabels = child.Selector() },
                // One process owns the database file; a database has many clients.
                Strategy = isFile
                    ? new V1DeploymentStrategy { Type = "Recreate" }
                    : new V1DeploymentStrategy { Type = "RollingUpdate", RollingUpdate = new V1RollingUpdateDeployment { MaxSurge = 1, MaxUnavailable = 0 } },
                RevisionHistoryLimit = 3,
                Template = new V1PodTemplateSpec
                {
                    Metadata = child.PodMetadata(config),
                    Spec = new V1PodSpec
                    {
                        ServiceAccountName = name,
                        AutomountServiceAccountToken = false,
                        EnableServiceLinks = false,
                        SecurityContext = Containers.RestrictedPod(),
                        ImagePullSecrets = Containers.PullSecrets(resource.Spec.ImagePullSecrets),
                        NodeSelector = resource.Spec.Placement?.NodeSelector is { Count: > 0 } selector ? selector : null,
                        Tolerations = resource.Spec.Placement?.Tolerations is { Count: > 0 } tolerations ? tolerations : null,
                        PriorityClassName = resource.Spec.Placement?.PriorityClassName,
                        TerminationGracePeriodSeconds = 30,
                        InitContainers = ClipVolume.Copy(resource.Spec, server) is { } copy ? [copy] : null,
                        Containers = [Container(resource.Spec, settings)],
                        Volumes = volumes,
                    },
                },
            },
        };
    }

    private static V1Container Container(PromptOptimizerSpec spec, OperatorSettings settings)
    {
        List<string> args =
        [
            "prompt-optimizer",
            "serve",
            $"--config={PodPaths.Config}/{ConfigFile}",
        ];
        List<V1VolumeMount> mounts = [Containers.Mount("config", PodPaths.Config, readOnly: true)];
        if (spec.Scorer.Clip is not null)
        {
            args.Add($"--clip-root={PodPaths.Clip}");
            mounts.Add(Containers.Mount(ClipVolume.Name, PodPaths.Clip, readOnly: true));
        }

        if (spec.Store.Type == JobStoreType.Sqlite)
        {
            args.Add($"--data={PodPaths.Data}");
            mounts.Add(Containers.Mount("data", PodPaths.Data, readOnly: false));
        }

        args.Add($"--listen=0.0.0.0:{spec.Port}");
        var container = Containers.Moebius("optimizer", spec.Image ?? settings.ImageOf(Components.PromptOptimizer), spec.ImagePullPolicy, args, spec.Resources, mounts).Serving("http", spec.Port, settings);
        foreach (var (variable, secret) in new[]
        {
            (ContainerVariables.LanguageModelKey, spec.LanguageModel.Endpoint?.ApiKeySecretRef),
            (ContainerVariables.ScorerKey, spec.Scorer.Endpoint?.ApiKeySecretRef),
            (ContainerVariables.ImageModelKey, spec.ImageModel?.Endpoint.ApiKeySecretRef),
            (ContainerVariables.StoreConnection, spec.Store.ConnectionSecretRef),
            (ContainerVariables.StoreAuthority, spec.Store.CaSecretRef),
        })
        {
            if (secret is { } key)
                container.Env.Add(Containers.FromSecret(variable, key));
        }

        return container;
    }
}
