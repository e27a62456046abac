using k8s;
using Moebius.Operator.Planning;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Integration;

/// <summary><c>moebius operator check</c> against a real API server.</summary>
[Collection(ClusterTests.Name)]
[Trait("Category", "Cluster")]
public sealed class CheckTests(OperatorCluster cluster)
{
    [Fact]
    public async Task Installation_with_a_leader_is_good()
    {
        await using var running = cluster.StartOperator(identity: "checked", leaderElect: true);
        using var kubernetes = new Kubernetes(cluster.CreateConfiguration(OperatorCluster.OperatorUser, "system:serviceaccounts"));
        using var output = new StringWriter();

        Assert.True(await CheckCommand.ResourcesAsync(kubernetes, null, output, CancellationToken.None), output.ToString());
        Assert.True(await CheckCommand.LeaderAsync(kubernetes, OperatorSettings.DefaultNamespace, Leadership.LeaseOf(null), TimeSpan.FromMinutes(1), TimeProvider.System, output, CancellationToken.None), output.ToString());
        Assert.Contains("checked leads", output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task User_without_rights_is_told_what_is_missing()
    {
        using var kubernetes = new Kubernetes(cluster.CreateConfiguration("nobody"));
        using var output = new StringWriter();

        Assert.False(await CheckCommand.ResourcesAsync(kubernetes, "default", output, CancellationToken.None));
        Assert.False(await CheckCommand.LeaderAsync(kubernetes, OperatorSettings.DefaultNamespace, Leadership.LeaseOf(null), TimeSpan.Zero, TimeProvider.System, output, CancellationToken.None));

        Assert.Equal(6, output.ToString().Split("403 not allowed: the operator's roles are missing or not bound").Length - 1);
    }

    [Fact]
    public async Task Namespace_without_a_lease_has_no_leader()
    {
        using var kubernetes = cluster.CreateClient();
        using var output = new StringWriter();

        Assert.False(await CheckCommand.LeaderAsync(kubernetes, "default", Leadership.LeaseOf("shop"), TimeSpan.Zero, TimeProvider.System, output, CancellationToken.None));

        Assert.Equal("lease default/moebius-operator-shop: there is none: no operator has led yet\n", output.ToString());
    }
}
