using k8s.Models;
using Moebius.Crds.Sizing;
using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Planning.Profiles;
using Moebius.Operator.Planning.Validation;

namespace Moebius.Operator.Tests.Planning;

/// <summary>What is just allowed, and what is just not.</summary>
public sealed class PlanEdgeTests
{
    private static Plan Plan(string spec) => MoEDeploymentPlanner.Plan(Samples.MoE(spec), MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest);

    [Theory]
    [InlineData("resources: {limits: {memory: 1536Mi}}")]
    [InlineData("kvCache: {memory: 2Gi, resources: {limits: {memory: 2Gi}}}")]
    [InlineData("kvCache: {enabled: false}\nserving: {port: 9401}")]
    [InlineData("resources: {requests: {memory: 8Gi}, limits: {memory: 8192Mi}}")]
    [InlineData("kvCache: {shared: {address: 'valkey:65535'}}")]
    public void What_is_just_enough_is_enough(string spec) => Assert.Empty(Plan(spec).Problems);

    [Fact]
    public void A_name_that_cannot_name_a_service_is_refused()
    {
        var plan = MoEDeploymentPlanner.Plan(Samples.MoE(name: "a.b"), MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest);
        Assert.StartsWith("metadata.name: 'a.b' must be", Assert.Single(plan.Problems).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_is_asked_for_in_whole_mebibytes_and_the_arena_once()
    {
        Assert.Equal("1153Mi", PodMemory.KVCacheResources(Samples.MoE("kvCache: {memory: 1073741825}").Spec).Requests["memory"].ToString());
        var facts = new ModelFacts(1 << 30, 1 << 30, 1 << 20, 4096);
        string Requested(string spec) => PodMemory.InferenceRequests(Samples.MoE(spec).Spec, facts).Requests["memory"].ToString();
        Assert.Equal(Requested("kvCache: {enabled: false}"), Requested("kvCache: {memory: 8Gi}\nresources: {limits: {memory: 64Gi}}"));
    }

    [Theory]
    [InlineData("1.36", "", "AlwaysAllow")]
    [InlineData("1.27", "disruption: {maxUnavailable: 2}", "AlwaysAllow")]
    [InlineData("1.26", "", null)]
    [InlineData("1.36", "disruption: {maxUnavailable: 0}", null)]
    public void Pods_that_do_not_answer_keep_no_node_from_being_drained_unless_all_are_to_stay(string version, string spec, string? policy) =>
        Assert.Equal(policy, MoEDeploymentPlanner.Plan(Samples.MoE(spec), MoEReferences.None, OperatorSettings.Default, new ServerCapabilities(Version.Parse(version), ["v1", "apps/v1", "policy/v1", "networking.k8s.io/v1"])).Child<V1PodDisruptionBudget>().Spec.UnhealthyPodEvictionPolicy);

    [Fact]
    public void Devices_are_for_the_container_that_serves()
    {
        var prepared = PodMemory.Preparing(Samples.MoE("resources: {requests: {cpu: 1, hugepages-2Mi: 2Mi}, limits: {memory: 8Gi, nvidia.com/gpu: 1, hugepages-2Mi: 2Mi}}").Spec);
        Assert.Equal(["cpu"], prepared.Requests.Keys);
        Assert.Equal(["memory"], prepared.Limits.Keys);
    }

    [Fact]
    public void A_new_Deployment_begins_with_the_replicas_of_its_spec_within_the_bounds() =>
        Assert.Equal(4, Plan("replicas: 4\nautoscaling: {minReplicas: 2, maxReplicas: 6}").Child<V1Deployment>().Spec.Replicas);

    [Theory]
    [InlineData(64, true)]
    [InlineData(65, false)]
    public void Profiles_are_kept_apart_as_long_as_an_affinity_can_say_it(int labels, bool apart)
    {
        var elder = Samples.Profile(name: "elder");
        elder.Spec.NodeSelector = Enumerable.Range(0, labels).ToDictionary(number => $"l{number}", _ => "x");
        var (affinity, left) = ProfilePrecedence.Without([elder], null);
        Assert.Equal(apart ? labels : 0, affinity?.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms.Count ?? 0);
        Assert.Equal(apart ? 0 : 1, left.Count);
    }

    [Fact]
    public void A_profile_that_goes_gives_its_nodes_up()
    {
        var then = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        var (elder, young) = (Samples.Profile(name: "elder", created: then), Samples.Profile(name: "young", created: then.AddDays(1)));
        Assert.Equal(["elder"], ProfilePrecedence.Stronger(young, [elder]).Select(one => one.Metadata.Name));
        elder.Metadata.DeletionTimestamp = then.AddDays(2);
        Assert.Empty(ProfilePrecedence.Stronger(young, [elder]));
    }

    [Fact]
    public void Names_and_keys_of_labels_have_their_longest()
    {
        Assert.Empty(NameCheck.Errors(new string('a', 63), 63));
        Assert.Single(NameCheck.Errors(new string('a', 64), 63));
        static IEnumerable<string> Key(int domain, int name) => PlacementCheck.Labels(new Dictionary<string, string> { [new string('d', domain) + "/" + new string('n', name)] = "" }, "labels");
        Assert.Empty(Key(253, 63));
        Assert.Single(Key(254, 63));
        Assert.Single(Key(1, 64));
    }

    [Fact]
    public void Spreading_over_no_domain_is_refused() =>
        Assert.StartsWith(
            "spread[0].minDomains: 0 must be 1 or more",
            Assert.Single(PlacementCheck.Spread([new V1TopologySpreadConstraint { MaxSkew = 1, TopologyKey = "zone", WhenUnsatisfiable = "DoNotSchedule", MinDomains = 0 }], "spread")),
            StringComparison.Ordinal);
}
