using k8s;
using k8s.Models;
using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.PromptOptimizers;

namespace Moebius.Operator.Tests.Planning;

/// <summary>What samples say of pods that the operator makes is so.</summary>
public sealed class SampleTests
{
    [Theory]
    [InlineData("samples/memoryschedulingprofile.yaml")]
    [InlineData("samples/quickstart.yaml")]
    public void A_hint_for_inference_selects_inference_pods(string file)
    {
        var profile = Manifests.ParseDocuments(File.ReadAllText(RepositoryFiles.At(file)), file).Single(one => (string?)one["kind"] == MemorySchedulingProfile.KindName);
        var selector = Manifests.Convert<MemorySchedulingProfile>(profile, file).Spec.Workloads!.Single(hint => hint.Name == "inference").PodSelector;
        var labels = MoEDeploymentPlanner.Plan(Samples.MoE(), MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest).Child<V1Deployment>().Spec.Template.Metadata.Labels;
        Assert.Null(selector.MatchExpressions);
        Assert.All(selector.MatchLabels, label => Assert.Equal(label.Value, labels.TryGetValue(label.Key, out var value) ? value : null));
    }

    /// <summary>
    /// The rules of the Pod Security level `restricted`, held here: the API server of the tests is older than the admission
    /// that enforces them. A model from a node's folder is the one exception.
    /// </summary>
    [Theory]
    [InlineData("samples/moedeployment.yaml", "")]
    [InlineData("samples/promptoptimizer.yaml", "")]
    [InlineData("samples/quickstart.yaml", "volume model")]
    [InlineData(null, "")]
    public void Pods_of_the_samples_are_restricted(string? file, string exceptions)
    {
        var plans = file is null
            ? new List<Plan> { Plan(Samples.Remote()), Plan(Samples.Remote(), FetchState.Done) }
            : Manifests.ParseDocuments(File.ReadAllText(RepositoryFiles.At(file)), file).Select(one => (string?)one["kind"] switch
            {
                MoEDeployment.KindName => Plan(Manifests.Convert<MoEDeployment>(one, file)),
                PromptOptimizer.KindName => PromptOptimizerPlanner.Plan(Named(Manifests.Convert<PromptOptimizer>(one, file)), Samples.MoE(), OperatorSettings.Default, ServerCapabilities.Latest),
                _ => null,
            }).OfType<Plan>().ToList();
        var pods = plans.SelectMany(plan => plan.Children).Select(child => child switch
        {
            V1Deployment deployment => deployment.Spec.Template.Spec,
            V1Job job => job.Spec.Template.Spec,
            _ => null,
        }).OfType<V1PodSpec>().ToList();
        Assert.NotEmpty(pods);
        Assert.Equal(exceptions, string.Join(", ", pods.SelectMany(Violations).Distinct()));
    }

    private static Plan Plan(MoEDeployment resource, FetchState fetched = FetchState.NotStarted)
    {
        resource = Named(resource);
        resource.Spec.KVCache.PolicyRef = null;
        resource.Spec.MemorySchedulingProfileRef = null;
        return MoEDeploymentPlanner.Plan(resource, MoEReferences.None with { Preparation = new ModelPreparation(fetched, null, null) }, OperatorSettings.Default, ServerCapabilities.Latest);
    }

    private static T Named<T>(T resource)
        where T : IKubernetesObject<V1ObjectMeta>
    {
        resource.Metadata.NamespaceProperty ??= "shop";
        resource.Metadata.Uid ??= "uid";
        return resource;
    }

    private static IEnumerable<string> Violations(V1PodSpec pod)
    {
        if (pod.HostNetwork == true || pod.HostPID == true || pod.HostIPC == true)
            yield return "host namespaces";
        foreach (var volume in (pod.Volumes ?? []).Where(volume => volume is { ConfigMap: null, EmptyDir: null, Ephemeral: null, PersistentVolumeClaim: null, Projected: null, Secret: null, DownwardAPI: null, Csi: null, Image: null }))
            yield return $"volume {volume.Name}";
        foreach (var container in pod.Containers.Concat(pod.InitContainers ?? []))
        {
            var own = container.SecurityContext;
            if (own is not { AllowPrivilegeEscalation: false, Privileged: null or false } || own.Capabilities?.Drop?.Contains("ALL") != true || own.Capabilities.Add is { Count: > 0 })
                yield return $"rights of {container.Name}";
            if ((own?.RunAsNonRoot ?? pod.SecurityContext?.RunAsNonRoot) != true || (own?.RunAsUser ?? pod.SecurityContext?.RunAsUser) == 0)
                yield return $"user of {container.Name}";
            if ((own?.SeccompProfile ?? pod.SecurityContext?.SeccompProfile)?.Type is not ("RuntimeDefault" or "Localhost"))
                yield return $"seccomp of {container.Name}";
            if (container.Ports?.Any(port => port.HostPort is > 0) == true)
                yield return $"ports of {container.Name}";
        }
    }
}
