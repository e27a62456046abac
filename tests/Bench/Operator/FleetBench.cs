using System.Globalization;
using Moebius.KubernetesEnvironment;

namespace Moebius.Bench.Operator;

/// <summary>
/// A thousand MoEDeployments at once: how long until all their children exist, beside a bare client that creates the same
/// objects with as many requests at a time: the children, and the MoEDeployments themselves, whose creation is part of the
/// operator's time. The stricter ratio, to the children alone, is printed too.
/// </summary>
internal static class FleetBench
{
    /// <summary>MoEDeployments; another number by MOEBIUS_BENCH_DEPLOYMENTS.</summary>
    public static int Count => Setting.Number("MOEBIUS_BENCH_DEPLOYMENTS", 1000, least: 1);

    private static int Repeats => Setting.Number("MOEBIUS_BENCH_REPEATS", 3, least: 1);

    private static readonly string[] Phases = ["a bare client creates the children", "the operator"];

    public static async Task RunAsync()
    {
        var resources = new List<double>();
        await using var server = await FleetServer.StartAsync(async idle =>
        {
            // The first do not count: the server compiles its rules.
            for (var repeat = 0; repeat <= Repeats; repeat++)
                resources.Add(await idle.CreateResourcesAloneAsync($"alone-{repeat}", Count));
            resources.RemoveAt(0);
        });
        var bare = new List<double>();
        var fleet = new List<double>();
        AuditMark mark = default;
        var work = new List<ProcessorTimes>();
        for (var repeat = 0; repeat < Repeats; repeat++)
        {
            work = [ProcessorTimes.Of(server)];
            bare.Add(await server.CreateBareAsync($"bare-{repeat}", Count));
            work.Add(ProcessorTimes.Of(server));
            mark = await server.Server.Audit.MarkAsync();
            fleet.Add(await server.CreateFleetAsync($"fleet-{repeat}", Count));
            work.Add(ProcessorTimes.Of(server));
            await server.Api.SettledAsync($"fleet-{repeat}", Count);
        }

        var alone = Spread.Of(resources);
        var ratio = Spread.Of(fleet.Zip(bare, (one, other) => one / (other + alone.Median)));
        var strict = Spread.Of(fleet.Zip(bare, (one, other) => one / other));
        Report.Title($"{Count} MoEDeployments at once{(FleetServer.IsApart ? ", the operator on a processor of its own" : "")}", "", "seconds");
        Report.Row($"a bare client creates the {Count * Fleet.ChildrenOf(0, "x").Count} children", Spread.Of(bare).Text("F1"));
        Report.Row($"a bare client creates the {Count} MoEDeployments, before the operator runs", alone.Text("F1"));
        Report.Row($"the operator, from the first of {Count} MoEDeployments to the last child", Spread.Of(fleet).Text("F1"));
        Report.Row("ratio to both, which are the same objects (bar: at most 1.5)", $"{ratio.Text("F2", "x")} {Report.AtMost(ratio.Median, 1.5)}");
        Report.Row("ratio to the children alone", strict.Text("F2", "x"));

        Report.Title("Processor seconds in the last repeat", "", "servers", "operator", "client");
        foreach (var (index, name) in Phases.Index())
            Report.Row([name, .. work[index].Until(work[index + 1])]);

        Report.Title("The operator then", "", "");
        Report.Row("resident memory", string.Create(CultureInfo.InvariantCulture, $"{server.Process.ResidentBytes >> 20} MiB"));
        Report.Row("most it ever had", string.Create(CultureInfo.InvariantCulture, $"{server.Process.PeakResidentBytes >> 20} MiB"));
        var clock = await server.MillisecondsAsync(Measure.Clock, null, 0.5, 0.99);
        var processor = await server.MillisecondsAsync(Measure.Processor, null, 0.5, 0.99);
        Report.Row("reconciliation without its API calls, median and p99", string.Create(CultureInfo.InvariantCulture, $"{clock[0]:F1} ms, {clock[1]:F1} ms"));
        Report.Row("processor time of that, median and p99", string.Create(CultureInfo.InvariantCulture, $"{processor[0]:F1} ms, {processor[1]:F1} ms"));

        Report.Title("Requests of the operator in the last repeat", "verb", "resource", "answer", "for each MoEDeployment");
        var requests = await server.Server.Audit.SinceAsync(mark, "moebius-operator");
        foreach (var kind in requests.GroupBy(request => (request.Verb, Resource: request.Subresource.Length > 0 ? $"{request.Resource}/{request.Subresource}" : request.Resource, request.StatusCode)).OrderByDescending(kind => kind.Count()))
            Report.Row(kind.Key.Verb, kind.Key.Resource, kind.Key.StatusCode.ToString(CultureInfo.InvariantCulture), (kind.Count() / (double)Count).ToString("F2", CultureInfo.InvariantCulture));
    }
}
