using Moebius.Crds;
using Moebius.Crds.V1Alpha1;
using Moebius.Inference.Prefetch;

namespace Moebius.Inference.Tests.Prefetch;

public class PrefetchPoliciesTests
{
    [Theory]
    [InlineData(1, 1, 1, 1, null)]
    [InlineData(8, 64, 1000, 1000, null)]
    [InlineData(9, 64, 1000, 1000, "x.horizon: 9 is out of range: from 1 to 8")]
    [InlineData(8, 65, 1000, 1000, "x.maxHorizon: 65 is out of range: from 1 to 64")]
    [InlineData(8, 64, 0, 1000, "x.stallThreshold: 0 is out of range: from 1 to 1000")]
    [InlineData(8, 64, 1000, 1001, "x.overfetchThreshold: 1001 is out of range: from 1 to 1000")]
    public void Numbers_are_taken_up_to_their_bounds(int horizon, int maxHorizon, int stalls, int overfetches, string? error)
    {
        var spec = new PrefetchSpec { Mode = PrefetchMode.Fixed, Horizon = horizon, MaxHorizon = maxHorizon, StallThreshold = stalls, OverfetchThreshold = overfetches };
        var thrown = Record.Exception(() => PrefetchPolicies.Check(spec, "x."));
        Assert.Equal(error, thrown?.Message);
        Assert.True(thrown is null or UserInputException);
    }
}
