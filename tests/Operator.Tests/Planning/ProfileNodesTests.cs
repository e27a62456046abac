using k8s.Models;
using Moebius.Crds.V1Alpha1;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Profiles;

namespace Moebius.Operator.Tests.Planning;

/// <summary>Pods that name a profile run where its agents do.</summary>
public sealed class ProfileNodesTests
{
    private const string Named = "memorySchedulingProfileRef: {name: young}";
    private static readonly DateTime Then = new(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);
    private static readonly MemorySchedulingProfile Elder = Samples.Profile("nodeSelector: {cxl: 'yes'}", "elder", Then);

    private static Plan Plan(MoEDeployment resource, string young, params MemorySchedulingProfile[] others)
    {
        var profile = Samples.Profile(young, "young", Then.AddDays(1));
        var (settings, server) = (OperatorSettings.Default, ServerCapabilities.Latest);
        return MoEDeploymentPlanner.Plan(resource, new MoEReferences(null, null, profile) { ProfilePlan = MemorySchedulingProfilePlanner.Plan(profile, [profile, .. others], settings, server) }, settings, server);
    }

    [Fact]
    public void Pods_keep_off_nodes_that_an_older_profile_has()
    {
        var plan = Plan(Samples.MoE(Named), "nodeSelector: {zone: a}", Elder);
        Assert.Empty(plan.Problems);
        Assert.Equal(["cxl NotIn yes"], Terms(plan.Child<V1Deployment>().Spec.Template.Spec));
    }

    [Fact]
    public void The_download_runs_there_too()
    {
        var plan = Plan(Samples.Remote(Named), "nodeSelector: {zone: a}", Elder);
        Assert.Equal(["cxl NotIn yes"], Terms(plan.Child<V1Job>().Spec.Template.Spec));
    }

    [Fact]
    public void What_the_user_asks_for_holds_as_well()
    {
        const string Asked = "podTemplate: {spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [nvme]}]}, {matchFields: [{key: metadata.name, operator: In, values: [n1]}]}]}}}}}";
        var plan = Plan(Samples.MoE($"{Named}\n{Asked}"), "nodeSelector: {zone: a}", Elder);
        Assert.Equal(["disk In nvme, cxl NotIn yes", "metadata.name In n1, cxl NotIn yes"], Terms(plan.Child<V1Deployment>().Spec.Template.Spec));
    }

    [Fact]
    public void Without_an_older_profile_the_selector_says_all() =>
        Assert.Null(Plan(Samples.MoE(Named), "nodeSelector: {zone: a}").Child<V1Deployment>().Spec.Template.Spec.Affinity);

    [Theory]
    [InlineData("nodeSelector: {cxl: 'yes', zone: a}", "spec.nodeSelector: every node that it selects belongs to the older profile 'elder': select other nodes, or delete one of the two")]
    [InlineData("nodeSelector: {zone: '?'}", "spec.nodeSelector[zone]: '?' is not the value of a label: write at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last")]
    public void A_profile_without_nodes_of_its_own_places_nothing(string young, string why)
    {
        var plan = Plan(Samples.MoE(Named), young, Elder);
        Assert.Empty(plan.Children);
        var condition = Assert.Single(plan.Conditions, condition => condition.Type == ConditionTypes.ProfileResolved);
        Assert.Equal((ConditionStatus.False, Reasons.ProfileInvalid, $"spec.memorySchedulingProfileRef.name: MemorySchedulingProfile 'young' has no nodes to give: {why}"), (condition.Status, condition.Reason, condition.Message));
    }

    private static IEnumerable<string> Terms(V1PodSpec pod) => pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
        .Select(term => string.Join(", ", (term.MatchFields ?? []).Concat(term.MatchExpressions ?? []).Select(one => $"{one.Key} {one.OperatorProperty} {string.Join('|', one.Values)}")));
}
