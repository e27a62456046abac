using k8s;
using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Runtime;

namespace Moebius.Operator;

/// <summary>Which resources have to be looked at again when something else changes.</summary>
internal sealed class EventRoutes : IDisposable
{
    private readonly Informers _informers;
    private readonly IControllerLoop _policies;
    private readonly IControllerLoop _profiles;
    private readonly IControllerLoop _deployments;
    private readonly IControllerLoop _optimizers;
    private readonly IControllerLoop _jobs;
    private readonly List<Action> _undo = [];

    public EventRoutes(Informers informers, IControllerLoop policies, IControllerLoop profiles, IControllerLoop deployments, IControllerLoop optimizers, IControllerLoop jobs)
    {
        _informers = informers;
        _policies = policies;
        _profiles = profiles;
        _deployments = deployments;
        _optimizers = optimizers;
        _jobs = jobs;
        foreach (var kind in informers.Children)
            _undo.Add(kind.OnChange(OnChild));
        On(informers.Pods.Cache, OnPod);
        On(informers.Policies.Cache, OnPolicy);
        On(informers.Profiles.Cache, OnProfile);
        // Whether a policy is usable, and a profile has agents, is in its status, which is the operator's own write.
        informers.Policies.Cache.Written += OnPolicy;
        informers.Profiles.Cache.Written += OnProfile;
        _undo.Add(() => informers.Policies.Cache.Written -= OnPolicy);
        _undo.Add(() => informers.Profiles.Cache.Written -= OnProfile);
        On(informers.MoEDeployments.Cache, OnDeployment);
        On(informers.Optimizers.Cache, OnOptimizer);
    }

    /// <inheritdoc />
    public void Dispose()
    {
        foreach (var action in _undo)
            action();
    }

    private void OnChild(V1OwnerReference owner, string? @namespace) =>
        LoopOf(owner.Kind)?.Enqueue(new ObjectKey(owner.Kind == MemorySchedulingProfile.KindName ? null : @namespace, owner.Name));

    private void On<T>(SharedCache<T> cache, Action<T?, T?> handler)
        where T : class, IKubernetesObject<V1ObjectMeta>
    {
        cache.Changed += handler;
        _undo.Add(() => cache.Changed -= handler);
    }

    private IControllerLoop? LoopOf(string kind) => kind switch
    {
        MoEDeployment.KindName => _deployments,
        KVPrivacyPolicy.KindName => _policies,
        MemorySchedulingProfile.KindName => _profiles,
        PromptOptimizer.KindName => _optimizers,
        PromptOptimizationJob.KindName => _jobs,
        _ => null,
    };

    private void OnPod(V1Pod? before, V1Pod? after)
    {
        var pod = (after ?? before)!;
        if (pod.Metadata.Labels is not { } labels || !labels.TryGetValue(Labels.Instance, out var instance) || !labels.TryGetValue(Labels.Component, out var component))
            return;
        switch (component)
        {
            case Components.Inference or Components.ModelFetch:
                _deployments.Enqueue(new ObjectKey(pod.Metadata.NamespaceProperty, instance));
                break;
            case Components.PromptOptimizer:
                _optimizers.Enqueue(new ObjectKey(pod.Metadata.NamespaceProperty, instance));
                break;
            case Components.NodeAgent:
                _profiles.Enqueue(new ObjectKey(null, instance));
                break;
        }
    }

    private void OnPolicy(KVPrivacyPolicy? before, KVPrivacyPolicy? after)
    {
        // What the status says tells when a text that the policy takes from elsewhere has come: that is in no other object.
        if (IsStatusOnly(before, after) && Readiness(before) == Readiness(after))
            return;
        var policy = (after ?? before)!;
        foreach (var user in _informers.MoEDeployments.Cache.List())
        {
            if (user.Metadata.NamespaceProperty == policy.Metadata.NamespaceProperty && user.Spec?.KVCache?.PolicyRef?.Name == policy.Metadata.Name)
                _deployments.Enqueue(ObjectKey.Of(user));
        }
    }

    private void OnProfile(MemorySchedulingProfile? before, MemorySchedulingProfile? after)
    {
        if (IsStatusOnly(before, after) && ProfilePrecedence.HasAgents(before) == ProfilePrecedence.HasAgents(after))
            return;
        // Profiles make room for each other, and pods go where their profile's agents are.
        _profiles.EnqueueAll();
        foreach (var user in _informers.MoEDeployments.Cache.List())
        {
            if (user.Spec?.MemorySchedulingProfileRef is not null)
                _deployments.Enqueue(ObjectKey.Of(user));
        }
    }

    private void OnDeployment(MoEDeployment? before, MoEDeployment? after)
    {
        if (IsStatusOnly(before, after))
            return;
        var deployment = (after ?? before)!;
        foreach (var policy in new[] { before, after }.Select(one => one?.Spec?.KVCache?.PolicyRef?.Name).OfType<string>().Distinct())
            _policies.Enqueue(new ObjectKey(deployment.Metadata.NamespaceProperty, policy));
        foreach (var optimizer in _informers.Optimizers.Cache.List())
        {
            if (optimizer.Metadata.NamespaceProperty == deployment.Metadata.NamespaceProperty && optimizer.Spec?.LanguageModel?.MoeDeploymentRef?.Name == deployment.Metadata.Name)
                _optimizers.Enqueue(ObjectKey.Of(optimizer));
        }
    }

    private void OnOptimizer(PromptOptimizer? before, PromptOptimizer? after)
    {
        if (IsStatusOnly(before, after))
            return;
        var optimizer = (after ?? before)!;
        foreach (var job in _informers.Jobs.Cache.List())
        {
            if (job.Metadata.NamespaceProperty == optimizer.Metadata.NamespaceProperty && job.Spec?.OptimizerRef?.Name == optimizer.Metadata.Name)
                _jobs.Enqueue(ObjectKey.Of(job));
        }
    }

    private static (string?, string?, string?) Readiness(KVPrivacyPolicy? policy) =>
        policy?.Status?.Conditions?.FirstOrDefault(condition => condition.Type == ConditionTypes.Ready) is { } ready ? (ready.Status, ready.Reason, ready.Message) : default;

    private static bool IsStatusOnly(IKubernetesObject<V1ObjectMeta>? before, IKubernetesObject<V1ObjectMeta>? after) =>
        before is not null && after is not null
        && before.Metadata.Uid == after.Metadata.Uid
        && before.Metadata.Generation == after.Metadata.Generation
        && before.Metadata.DeletionTimestamp == after.Metadata.DeletionTimestamp;
}
