using System.Globalization;
using System.Text.Json.Nodes;

namespace Moebius.Bench.Operator;

/// <summary>Memory, work per reconciliation, and writes in a minute of rest, with a thousand MoEDeployments.</summary>
internal static class RestBench
{
    /// <summary>MoEDeployments that are looked at one after another.</summary>
    private const int Touched = 400;

    /// <summary>Enough for the API servers to have come to rest after each.</summary>
    private static readonly TimeSpan Calm = TimeSpan.FromMilliseconds(25);

    public static async Task RunAsync()
    {
        await using var server = await FleetServer.StartAsync();
        await server.CreateFleetAsync("fleet", FleetBench.Count);
        await server.Api.SettledAsync("fleet", FleetBench.Count);
        // Events are sent in passing.
        await Task.Delay(TimeSpan.FromSeconds(10));
        var mark = await server.Server.Audit.MarkAsync();
        await Task.Delay(TimeSpan.FromSeconds(60));
        var writes = (await server.Server.Audit.WritesSinceAsync(mark, "moebius-operator")).Count;
        var memory = server.Process.ResidentBytes / (double)(1 << 20);
        var peak = server.Process.PeakResidentBytes / (double)(1 << 20);
        var crowd = await BothAsync(server, null);
        var single = await TouchAsync(server, TimeSpan.Zero);
        var calm = await TouchAsync(server, Calm);
        Report.Title($"With {FleetBench.Count} MoEDeployments{(FleetServer.IsApart ? ", the operator on a processor of its own" : "")}", "", "", "bar");
        Report.Row("resident memory of the operator", string.Create(CultureInfo.InvariantCulture, $"{memory:F0} MiB"), $"at most 200 MiB: {Report.AtMost(memory, 200)}");
        Report.Row("writes in 60 s at rest", writes.ToString(CultureInfo.InvariantCulture), $"0: {Report.AtMost(writes, 0)}");
        Report.Row("most that it had while all were made", string.Create(CultureInfo.InvariantCulture, $"{peak:F0} MiB"), "");
        Report.Row("reconciliation without its API calls, p99, while all were made at once", string.Create(CultureInfo.InvariantCulture, $"{crowd.Clock:F1} ms"), $"at most 5 ms: {Report.AtMost(crowd.Clock, 5)}");
        Report.Row("processor time of that, p99", string.Create(CultureInfo.InvariantCulture, $"{crowd.Processor:F1} ms"), "");
        Report.Row("the same, when one after another is looked at", string.Create(CultureInfo.InvariantCulture, $"{single.Clock:F1} ms"), $"at most 5 ms: {Report.AtMost(single.Clock, 5)}");
        Report.Row("processor time of that, p99", string.Create(CultureInfo.InvariantCulture, $"{single.Processor:F1} ms"), "");
        Report.Row($"the same, when one is looked at every {Calm.TotalMilliseconds:F0} ms", string.Create(CultureInfo.InvariantCulture, $"{calm.Clock:F1} ms"), $"at most 5 ms: {Report.AtMost(calm.Clock, 5)}");
        Report.Row("processor time of that, p99", string.Create(CultureInfo.InvariantCulture, $"{calm.Processor:F1} ms"), "");
    }

    /// <summary>Changes MoEDeployments one after another, each when the change before is stored and a pause is over.</summary>
    private static async Task<(double Clock, double Processor)> TouchAsync(FleetServer server, TimeSpan pause)
    {
        var before = await server.MetricsAsync();
        var look = Guid.NewGuid().ToString();
        for (var index = 0; index < Math.Min(Touched, FleetBench.Count); index++)
        {
            await server.Api.MergeAsync(
                $"apis/moebius.dev/v1alpha1/namespaces/fleet/moedeployments/moe-{index}",
                new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { ["look"] = look } } });
            await Task.Delay(pause);
        }

        await Task.Delay(TimeSpan.FromSeconds(2));
        return await BothAsync(server, before);
    }

    private static async Task<(double Clock, double Processor)> BothAsync(FleetServer server, string? since) =>
        ((await server.MillisecondsAsync(Measure.Clock, since, 0.99))[0], (await server.MillisecondsAsync(Measure.Processor, since, 0.99))[0]);
}
