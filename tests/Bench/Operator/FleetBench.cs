namespace Moebius.Bench.Operator;

/// <summary>
/// A thousand MoEDeployments at once: how long until all their children exist, beside a bare client that creates the same
/// objects with as many requests at a time.
/// </summary>
internal static class FleetBench
{
    public const int Count = 1000;
    private const int Repeats = 3;

    public static async Task RunAsync()
    {
        await using var server = await FleetServer.StartAsync();
        var bare = new List<double>();
        var fleet = new List<double>();
        for (var repeat = 0; repeat < Repeats; repeat++)
        {
            bare.Add(await server.CreateBareAsync($"bare-{repeat}", Count));
            fleet.Add(await server.CreateFleetAsync($"fleet-{repeat}", Count));
            await server.Api.SettledAsync($"fleet-{repeat}", Count);
        }

        var ratio = Spread.Of(fleet.Zip(bare, (one, other) => one / other));
        Report.Title($"{Count} MoEDeployments at once", "", "seconds");
        Report.Row($"a bare client creates the {Count * Fleet.ChildrenOf(0, "x").Count} children", Spread.Of(bare).Text("F1"));
        Report.Row($"the operator, from the first of {Count} MoEDeployments to the last child", Spread.Of(fleet).Text("F1"));
        Report.Row("ratio (bar: at most 1.5)", $"{ratio.Text("F2", "x")} {Report.AtMost(ratio.Median, 1.5)}");
    }
}
