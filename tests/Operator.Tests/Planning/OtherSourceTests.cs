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

    private static Dictionary<string, V1Condition> Conditions(FetchState state, string source)
    {
        var resource = Samples.Remote("replicas: 1");
        var preparation = new ModelPreparation(state, "answers 403", null);
        var plan = MoEDeploymentPlanner.Plan(resource, MoEReferences.None with { Preparation = preparation }, OperatorSettings.Default, ServerCapabilities.Latest);
        Assert.True(plan.IsPartial);
        var live = new V1Deployment
        {
            Metadata = new V1ObjectMeta { Generation = 1 },
            Spec = new V1DeploymentSpec { Replicas = 1, Template = new V1PodTemplateSpec { Metadata = new V1ObjectMeta { Annotations = new Dictionary<string, string> { [Labels.ModelSource] = source } } } },
            Status = new V1DeploymentStatus { ObservedGeneration = 1, Replicas = 1, UpdatedReplicas = 1, ReadyReplicas = 1, AvailableReplicas = 1 },
        };
        return StatusPlanner.MoEDeployment(resource, plan, preparation, Observation.Of(plan, [], WorkloadStatus.Of(live), []), DateTimeOffset.UnixEpoch)
            .Conditions!.ToDictionary(condition => condition.Type);
    }
}
