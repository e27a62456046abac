using System.Globalization;

namespace Moebius.Bench.Operator;

/// <summary>Memory, work per reconciliation, and writes in a minute of rest, with a thousand MoEDeployments.</summary>
internal static class RestBench
{
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
        using var http = new HttpClient();
        var p99 = Histogram.Quantile(await http.GetStringAsync(new Uri($"http://127.0.0.1:{server.Port}/metrics")), "moebius_operator_reconcile_compute_seconds", "moedeployment", 0.99) * 1000;
        Report.Title($"With {FleetBench.Count} MoEDeployments", "", "", "bar");
        Report.Row("resident memory of the operator", string.Create(CultureInfo.InvariantCulture, $"{memory:F0} MiB"), $"at most 200 MiB: {Report.AtMost(memory, 200)}");
        Report.Row("writes in 60 s at rest", writes.ToString(CultureInfo.InvariantCulture), $"0: {Report.AtMost(writes, 0)}");
        Report.Row("reconciliation without its API calls, p99", string.Create(CultureInfo.InvariantCulture, $"{p99:F1} ms"), $"at most 5 ms: {Report.AtMost(p99, 5)}");
    }
}
