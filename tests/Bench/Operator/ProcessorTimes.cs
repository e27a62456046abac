using System.Diagnostics;
using System.Globalization;

namespace Moebius.Bench.Operator;

/// <summary>Processor seconds that each side of the benchmark has used so far.</summary>
internal sealed record ProcessorTimes(double Servers, double Operator, double Client)
{
    public static ProcessorTimes Of(FleetServer server) =>
        new(server.Server.ProcessIds.Sum(Seconds), Seconds(server.Process.Id), Seconds(Environment.ProcessId));

    /// <summary>What was used until a later moment: servers, operator, client.</summary>
    public string[] Until(ProcessorTimes later) =>
        [.. new[] { later.Servers - Servers, later.Operator - Operator, later.Client - Client }.Select(seconds => seconds.ToString("F1", CultureInfo.InvariantCulture))];

    private static double Seconds(int process)
    {
        using var one = Process.GetProcessById(process);
        return one.TotalProcessorTime.TotalSeconds;
    }
}
