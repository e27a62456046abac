using System.Text.Json.Nodes;
using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.External;
using Moebius.Operator.Planning.MoEDeployments;

namespace Moebius.Operator.Tests.Planning;

public sealed class AutoscalingTests
{
    private const string Scaling = "autoscaling: {minReplicas: 2, maxReplicas: 6, targetQueueDepth: 3, targetKVUsagePercent: 75}";
    private const string Keda = "autoscaling: {maxReplicas: 6, autoscaler: Keda, prometheusAddress: 'http://prometheus:9090'}";

    private static readonly ServerCapabilities Everything = new(
        new Version(1, 36), ["v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1", .. ServerCapabilities.OptionalResources]);

    private static Plan Plan(MoEDeployment resource, int? live = null, ServerCapabilities? server = null) => MoEDeploymentPlanner.Plan(
        resource, MoEReferences.None with { LiveReplicas = live }, OperatorSettings.Default, server ?? ServerCapabilities.Latest);

    [Theory]
    [InlineData(null, 2)]
    [InlineData(1, 2)]
    [InlineData(5, 5)]
    [InlineData(9, 6)]
    public void What_the_autoscaler_wrote_is_planned_within_the_bounds(int? live, int planned) =>
        Assert.Equal(planned, Plan(Samples.MoE(Scaling), live).Child<V1Deployment>().Spec.Replicas);

    [Theory]
    [InlineData(null)]
    [InlineData(7)]
    public void Without_an_autoscaler_the_spec_decides(int? live) => Assert.Equal(3, Plan(Samples.MoE("replicas: 3"), live).Child<V1Deployment>().Spec.Replicas);

    [Fact]
    public void The_autoscaler_aims_at_the_queue_and_the_KV_memory()
    {
        var spec = Plan(Samples.MoE(Scaling)).Child<V2HorizontalPodAutoscaler>().Spec;
        Assert.Equal(("Deployment", "austen", 2, 6), (spec.ScaleTargetRef.Kind, spec.ScaleTargetRef.Name, spec.MinReplicas, spec.MaxReplicas));
        Assert.Equal(
            [("vllm:num_requests_waiting", "3"), ("vllm:kv_cache_usage_perc", "750m")],
            spec.Metrics.Select(metric => (metric.Pods.Metric.Name, metric.Pods.Target.AverageValue.ToString())));
    }

    [Fact]
    public void KEDA_is_asked_with_the_pods_own_series()
    {
        var spec = Plan(Samples.MoE(Keda), server: Everything).Child<ScaledObject>().Spec!;
        Assert.Equal(
            ["sum(vllm:num_requests_waiting{namespace=\"shop\",pod=~\"austen-[a-z0-9]+-[a-z0-9]+\"})", "100 * sum(vllm:kv_cache_usage_perc{namespace=\"shop\",pod=~\"austen-[a-z0-9]+-[a-z0-9]+\"})"],
            ((JsonArray)spec["triggers"]!).Select(trigger => (string?)trigger!["metadata"]!["query"]));
        Assert.Empty(Plan(Samples.MoE(Keda), server: Everything).Children.OfType<V2HorizontalPodAutoscaler>());
    }

    [Theory]
    [InlineData(Keda, "spec.autoscaling.autoscaler: the server has no ScaledObject of keda.sh/v1alpha1")]
    [InlineData("integrations: {podMonitor: Required}", "spec.integrations.podMonitor: the server has no PodMonitor")]
    [InlineData("integrations: {inferencePool: Required, endpointPickerRef: {name: epp}}", "spec.integrations.inferencePool: the server has no InferencePool")]
    public void What_the_server_lacks_is_reported_and_stops_nothing(string spec, string message)
    {
        var plan = Plan(Samples.MoE(spec));
        var problem = Assert.Single(plan.Problems);
        Assert.Equal((Reasons.ServerCapabilityMissing, false), (problem.Reason, problem.Blocks));
        Assert.StartsWith(message, problem.Message, StringComparison.Ordinal);
        Assert.NotNull(plan.Child<V1Deployment>());
    }

    [Fact]
    public void Objects_of_other_operators_are_made_where_their_kinds_are()
    {
        Assert.DoesNotContain(Plan(Samples.MoE()).Children, child => child is ExternalResource);
        var plan = Plan(Samples.MoE("integrations: {endpointPickerRef: {name: epp}}"), server: Everything);
        Assert.Empty(plan.Problems);
        Assert.Equal(["engine-metrics", "metrics"], ((JsonArray)plan.Child<PodMonitor>().Spec!["podMetricsEndpoints"]!).Select(one => (string?)one!["port"]));
        var pool = plan.Child<InferencePool>().Spec!;
        Assert.Equal(("epp", 9002, 8000), ((string?)pool["endpointPickerRef"]!["name"], (int?)pool["endpointPickerRef"]!["port"]!["number"], (int?)pool["targetPorts"]![0]!["number"]));
        Assert.Empty(plan.Children.OfType<InferencePoolAlpha>());
        // An InferencePool has to name a picker: Auto without one makes none.
        Assert.Empty(Plan(Samples.MoE(), server: Everything).Children.OfType<InferencePool>());
        Assert.Empty(Plan(Samples.MoE("integrations: {podMonitor: Disabled}"), server: Everything).Children.OfType<PodMonitor>());
    }

    [Theory]
    [InlineData("Auto", 0)]
    [InlineData("Required", 1)]
    public void Where_one_PodMonitor_serves_all_another_is_made_only_when_required(string mode, int made)
    {
        var plan = MoEDeploymentPlanner.Plan(Samples.MoE($"integrations: {{podMonitor: {mode}}}"), MoEReferences.None, OperatorSettings.Default with { SharedPodMonitor = true }, Everything);
        Assert.Equal(made, plan.Children.OfType<PodMonitor>().Count());
    }

    /// <summary>The rules tell the pods of one MoEDeployment from others by labels that only the monitor brings along.</summary>
    [Fact]
    public void A_PodMonitor_of_its_own_gives_the_labels_that_the_rules_ask_for()
    {
        var plan = Plan(Samples.MoE(), server: Everything);
        var taken = plan.Child<PodMonitor>().Spec!["podTargetLabels"]?.AsArray().Select(one => (string)one!).ToList() ?? [];

        Assert.Equal(["app.kubernetes.io/component", "app.kubernetes.io/instance"], taken);
        Assert.All(taken, label => Assert.Contains(label, plan.Child<V1Deployment>().Spec.Template.Metadata.Labels.Keys));
    }
}
