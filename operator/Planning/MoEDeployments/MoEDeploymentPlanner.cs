using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.Sizing;
using Moebius.Crds.V1Alpha1;

namespace Moebius.Operator.Planning.MoEDeployments;

/// <summary>
/// Plans the children of a MoEDeployment: checks the spec, resolves what it refers to, and only when all of that holds
/// describes the objects. Nothing is planned that would start without its policy.
/// </summary>
public static class MoEDeploymentPlanner
{
    /// <summary>
    /// Plans ServiceAccount, ConfigMap, Service, Deployment, PodDisruptionBudget and NetworkPolicy, what brings the model
    /// here when it comes from elsewhere, the autoscaler, and objects of other operators.
    /// </summary>
    /// <param name="resource">The MoEDeployment.</param>
    /// <param name="references">What it refers to.</param>
    /// <param name="settings">The operator's settings.</param>
    /// <param name="server">What the API server can do.</param>
    public static Plan Plan(MoEDeployment resource, MoEReferences references, OperatorSettings settings, ServerCapabilities server)
    {
        var problems = MoEDeploymentCheck.Problems(resource, references.Profile, server).ToList();
        if (problems.Any(problem => problem is { Reason: Reasons.InvalidSpec, Blocks: true }))
            return Planning.Plan.Blocked(problems, []);

        List<PlannedCondition> conditions = [ResolvePolicy(resource, references), ResolveProfile(resource, references)];
        var stops = Stops(resource.Spec);
        problems.AddRange(conditions
            .Where(condition => condition.Status != ConditionStatus.True)
            .Select(condition => new Problem(condition.Reason, condition.Message, Blocks: !stops)));
        if (problems.Any(problem => problem.Blocks))
            return Planning.Plan.Blocked(problems, conditions);
        // The download goes on as it was asked for: its Job is found by what it was made of.
        var asked = references;
        if (conditions[0].Status != ConditionStatus.True)
            references = references with { Policy = null, PolicyPlan = null };
        if (conditions[1].Status != ConditionStatus.True)
            references = references with { Profile = null, ProfilePlan = null };

        var remote = ModelFetch.IsRemote(resource.Spec.Model.Source) && references.Preparation.State != FetchState.Inline;
        if (remote)
        {
            conditions.Add(Fetched(references.Preparation));
            if (references.Preparation.State == FetchState.Failed)
                problems.Add(new Problem(Reasons.FetchFailed, conditions[^1].Message, Blocks: false));
        }

        conditions.Add(Fits(resource.Spec, references.Preparation));
        if (conditions[^1].Status == ConditionStatus.False)
        {
            problems.Add(new Problem(Reasons.InsufficientMemory, conditions[^1].Message, Blocks: !stops));
            if (!stops)
                return Planning.Plan.Blocked(problems, conditions);
        }

        var name = Names.Inference(resource.Metadata.Name);
        var child = new ChildBuilder(resource, Components.Inference, resource.Metadata.NamespaceProperty);
        var children = new List<IKubernetesObject<V1ObjectMeta>> { child.ServiceAccount(name) };
        if (remote)
            children.AddRange(ModelFetch.Plan(resource, asked, settings, server));
        if (remote && !stops && references.Preparation.State != FetchState.Done)
            return new Plan(children, problems, conditions) { IsPartial = true };

        var config = InferenceConfiguration.Render(resource);
        children.Add(child.ConfigMap(Names.InferenceConfig(resource.Metadata.Name), config));
        children.Add(child.Service(name, (InferencePod.ServingPort, resource.Spec.Serving.Port)));
        if (resource.Spec.NetworkPolicy.Enabled && server.NetworkPolicies)
            children.Add(InferenceNetworkPolicy.Plan(resource, references.Policy, child, settings));
        if (server.PodDisruptionBudgets)
            children.Add(DisruptionBudget(resource, child, server));
        children.Add(Deployment(resource, references, child, config, settings, server));
        if (Autoscaling.Plan(resource, child, server) is { } autoscaler)
            children.Add(autoscaler);
        children.AddRange(Integrations.Plan(resource, child, settings, server));
        return new Plan(children, problems, conditions);
    }

    /// <summary>Whoever asks for no pods gets none, whatever is missing: it would be missed by pods only.</summary>
    internal static bool Stops(MoEDeploymentSpec? spec) => spec is { Replicas: 0, Autoscaling: null };

    /// <summary>The name clients ask for.</summary>
    internal static string ModelName(MoEDeployment resource) => resource.Spec.Model.Name ?? resource.Metadata.Name;

    /// <summary>Base URL of the API inside the cluster, up to and including <c>/v1</c>.</summary>
    internal static string Endpoint(MoEDeployment resource) =>
        Names.ServiceUrl(Names.Inference(resource.Metadata.Name), resource.Metadata.NamespaceProperty, resource.Spec.Serving.Port) + "/v1";

    private static PlannedCondition Fetched(ModelPreparation preparation) => preparation switch
    {
        { State: FetchState.Done } => new(ConditionTypes.ModelFetched, ConditionStatus.True, Reasons.Fetched, "the model is in its store"),
        { State: FetchState.Failed } => new(ConditionTypes.ModelFetched, ConditionStatus.False, Reasons.FetchFailed, $"spec.model.source: the download has failed: {preparation.Message}: correct what it names; delete the Job to try the same source again"),
        { Message: { } message } => new(ConditionTypes.ModelFetched, ConditionStatus.False, Reasons.Fetching, $"the model is being downloaded; {message}"),
        _ => new(ConditionTypes.ModelFetched, ConditionStatus.False, Reasons.Fetching, "the model is being downloaded"),
    };

    private static PlannedCondition Fits(MoEDeploymentSpec spec, ModelPreparation preparation)
    {
        if (preparation.Facts is not { } facts)
            return new(ConditionTypes.MemoryFits, ConditionStatus.Unknown, Reasons.NotMeasured, "the model's files have not been read yet");
        var need = MemorySizing.Plan(facts, PodMemory.Budget(spec));
        return need.Refusal is { } refusal
            ? new(ConditionTypes.MemoryFits, ConditionStatus.False, Reasons.InsufficientMemory, $"spec: {refusal}")
            : new(ConditionTypes.MemoryFits, ConditionStatus.True, Reasons.Sufficient, $"{Quantities.Format(need.Needed)} are needed");
    }

    private static PlannedCondition ResolvePolicy(MoEDeployment resource, MoEReferences references)
    {
        if (resource.Spec.KVCache.PolicyRef is not { Name: var name })
            return new(ConditionTypes.PolicyResolved, ConditionStatus.True, Reasons.NotReferenced, "no policy is referred to: everything stays private to its tenant");
        if (references.Policy is null)
            return new(ConditionTypes.PolicyResolved, ConditionStatus.False, Reasons.PolicyNotFound, $"spec.kvCache.policyRef.name: there is no KVPrivacyPolicy '{name}' in namespace '{resource.Metadata.NamespaceProperty}': make it, or remove policyRef to keep everything private");
        if (references.PolicyPlan?.Problems.FirstOrDefault(problem => problem.Blocks) is { } problem)
            return new(ConditionTypes.PolicyResolved, ConditionStatus.False, Reasons.PolicyInvalid, $"spec.kvCache.policyRef.name: KVPrivacyPolicy '{name}' is not usable: {problem.Message}");
        return new(ConditionTypes.PolicyResolved, ConditionStatus.True, Reasons.Resolved, $"KVPrivacyPolicy '{name}' applies");
    }

    private static PlannedCondition ResolveProfile(MoEDeployment resource, MoEReferences references)
    {
        if (resource.Spec.MemorySchedulingProfileRef is not { Name: var name })
            return new(ConditionTypes.ProfileResolved, ConditionStatus.True, Reasons.NotReferenced, "no profile is referred to");
        if (references.Profile is null)
            return new(ConditionTypes.ProfileResolved, ConditionStatus.False, Reasons.ProfileNotFound, $"spec.memorySchedulingProfileRef.name: there is no MemorySchedulingProfile '{name}': make it, or remove memorySchedulingProfileRef");
        if (references.ProfilePlan?.Problems.FirstOrDefault(problem => problem.Blocks) is { } problem)
            return new(ConditionTypes.ProfileResolved, ConditionStatus.False, Reasons.ProfileInvalid, $"spec.memorySchedulingProfileRef.name: MemorySchedulingProfile '{name}' has no nodes to give: {problem.Message}");
        return new(ConditionTypes.ProfileResolved, ConditionStatus.True, Reasons.Resolved, $"MemorySchedulingProfile '{name}' places the pods");
    }

    private static V1PodDisruptionBudget DisruptionBudget(MoEDeployment resource, ChildBuilder child, ServerCapabilities server) => new()
    {
        ApiVersion = "policy/v1",
        Kind = "PodDisruptionBudget",
        Metadata = child.Metadata(Names.Inference(resource.Metadata.Name)),
        Spec = new V1PodDisruptionBudgetSpec
        {
            MaxUnavailable = resource.Spec.Disruption.MaxUnavailable,
            // Pods that cannot start would otherwise keep their nodes from being drained for as long as they fail.
            UnhealthyPodEvictionPolicy = server.UnhealthyPodEviction && resource.Spec.Disruption.MaxUnavailable > 0 ? "AlwaysAllow" : null,
            Selector = new V1LabelSelector { MatchLabels = child.Selector() },
        },
    };

    private static V1Deployment Deployment(
        MoEDeployment resource,
        MoEReferences references,
        ChildBuilder child,
        Dictionary<string, string> config,
        OperatorSettings settings,
        ServerCapabilities server) => new()
        {
            ApiVersion = "apps/v1",
            Kind = "Deployment",
            Metadata = child.Metadata(Names.Inference(resource.Metadata.Name)),
            Spec = new V1DeploymentSpec
            {
                Replicas = Autoscaling.Replicas(resource.Spec, references.LiveReplicas),
                Selector = new V1LabelSelector { MatchLabels = child.Selector() },
                Strategy = new V1DeploymentStrategy
                {
                    Type = "RollingUpdate",
                    RollingUpdate = new V1RollingUpdateDeployment { MaxSurge = resource.Spec.Rollout.MaxSurge, MaxUnavailable = resource.Spec.Rollout.MaxUnavailable },
                },
                ProgressDeadlineSeconds = 7200,
                RevisionHistoryLimit = 3,
                Template = Template(resource, references, child, config, settings, server),
            },
        };

    private static V1PodTemplateSpec Template(MoEDeployment resource, MoEReferences references, ChildBuilder child, Dictionary<string, string> config, OperatorSettings settings, ServerCapabilities server)
    {
        var metadata = child.PodMetadata(InferenceConfiguration.HashSource(config));
        metadata.Annotations[Labels.ModelSource] = ModelFetch.SizeKey(resource.Spec);
        var template = PodTemplateOverride.Apply(new V1PodTemplateSpec { Metadata = metadata, Spec = InferencePod.Plan(resource, references, settings, server) }, resource.Spec.PodTemplate);
        ProfileNodes.Keep(template.Spec, references.ProfilePlan);
        return template;
    }
}
