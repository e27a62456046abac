using Moebius.Operator.Planning;
using Moebius.Operator.Planning.MoEDeployments;
using Moebius.Operator.Runtime;

namespace Moebius.Operator.Tests.Runtime;

public sealed class WarmUpTests
{
    /// <summary>All children and a status for each of three times 32 resources.</summary>
    [Fact]
    public async Task The_rehearsal_goes_through_whole_reconciliations()
    {
        var children = MoEDeploymentChildren();
        Assert.InRange(await WarmUp.RehearseAsync(OperatorSettings.Default, ServerCapabilities.Latest, Eventually.Limit), 96 * (children + 1), int.MaxValue);
    }

    private static int MoEDeploymentChildren() =>
        MoEDeploymentPlanner.Plan(Samples.MoE(), MoEReferences.None, OperatorSettings.Default, ServerCapabilities.Latest).Children.Count;
}
