using k8s.Models;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.Operator.Tests.Planning;

/// <summary>A changed source is downloaded beside the model that serves: until pods have it, the new generation is not what runs.</summary>
public sealed class OtherSourceTests
{
    [Theory]
    [InlineData(FetchState.NotStarted, Reasons.Fetching, "True")]
    [InlineData(FetchState.Running, Reasons.Fetching, "True")]
    [InlineData(FetchState.Failed, Reasons.FetchFailed, "False")]
    public void Pods_of_the_source_before_do_not_make_the_new_one_ready(FetchState state, string reason, string progressing)
    {
        var conditions = Conditions(state, "of-before");

        Assert.Equal(("False", reason), (conditions["Ready"].Status, conditions["Ready"].Reason));
        Assert.Equal(conditions["ModelFetched"].Message, conditions["Ready"].Message);
        Assert.Equal((progressing, reason), (conditions["Progressing"].Status, conditions["Progressing"].Reason));
        Assert.Equal("False", conditions["ModelLoaded"].Status);
    }

    /// <summary>A newer operator may prepare the same source by another Job: what serves is still what is asked for.</summary>
    [Theory]
    [InlineData(FetchState.Running)]
    [InlineData(FetchState.Failed)]
    public void Pods_of_the_same_source_stay_ready_while_it_is_prepared_again(FetchState state)
    {
        var conditions = Conditions(state, ModelFetch.SizeKey(Samples.Remote("replicas: 1").Spec));

        Assert.Equal(("True", Reasons.AllReplicasReady), (conditions["Ready"].Status, conditions["Ready"].Reason));
        Assert.Equal("False", conditions["Progressing"].Status);
        Assert.Equal("True", conditions["ModelLoaded"].Status);
    }

    /// <summary>The Deployment counts pods that answer, and while they are replaced those of before are among them.</summary>
    [Theory]
    [InlineData("before", "False")]
    [InlineData("before current-not-ready", "False")]
    [InlineData("before current", "True")]
    [InlineData("current", "True")]
    [InlineData("current-not-ready", "False")]
    [InlineData("before current-going", "False")]
    [InlineData("", "True")]
    public void A_model_is_loaded_when_a_pod_of_its_source_answers(string pods, string loaded)
    {
        var current = ModelFetch.SizeKey(Samples.Remote("replicas: 1").Spec);
        var condition = Conditions(FetchState.Done, current, pods.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(pod => new V1Pod
        {
            Metadata = new V1ObjectMeta
            {
                Name = pod,
                Annotations = new Dictionary<string, string> { [Labels.ModelSource] = pod == "before" ? "of-before" : current },
                DeletionTimestamp = pod.EndsWith("going", StringComparison.Ordinal) ? DateTime.UnixEpoch : null,
            },
            Status = new V1PodStatus { Conditions = [new V1PodCondition { Type = "Ready", Status = pod.EndsWith("not-ready", StringComparison.Ordinal) ? "False" : "True" }] },
        }))["ModelLoaded"];
        Assert.Equal(loaded, condition.Status);
        if (loaded == "False")
            Assert.Equal((Reasons.Loading, "no pod has loaded the model yet" + (pods.StartsWith("before", StringComparison.Ordinal) ? ": those that answer have that of before" : "")), (condition.Reason, condition.Message));
    }

    private static Dictionary<string, V1Condition> Conditions(FetchState state, string source, IEnumerable<V1Pod>? pods = null)
    {
        var resource = Samples.Remote("replicas: 1");
        var preparation = new ModelPreparation(state, "answers 403", null);
        var plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None with { Preparation = preparation }, OperatorSettings.Default, ServerCapabilities.Latest);
        Assert.Equal(state != FetchState.Done, plan.IsPartial);
        var live = new V1Deployment
        {
            Metadata = new V1ObjectMeta { Generation = 1 },
            Spec = new V1DeploymentSpec { Replicas = 1, Template = new V1PodTemplateSpec { Metadata = new V1ObjectMeta { Annotations = new Dictionary<string, string> { [Labels.ModelSource] = source } } } },
            Status = new V1DeploymentStatus { ObservedGeneration = 1, Replicas = 1, UpdatedReplicas = 1, ReadyReplicas = 1, AvailableReplicas = 1 },
        };
        return StatusPlanner.MoEDeployment(resource, plan, preparation, Observation.Of(plan, [], WorkloadStatus.Of(live), [.. pods ?? []]), DateTimeOffset.UnixEpoch)
            .Conditions!.ToDictionary(condition => condition.Type);
    }
}
