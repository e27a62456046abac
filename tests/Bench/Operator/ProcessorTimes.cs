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

    /// <summary>Seconds that threads of a process, while ready to run, have waited for a processor so far; those that have ended do not count.</summary>
    public static double WaitedSeconds(int process) =>
        Directory.EnumerateDirectories($"/proc/{process}/task").Sum(task => ReadNanoseconds(Path.Combine(task, "schedstat")) / 1e9);

    private static double ReadNanoseconds(string schedstat)
    {
        try
        {
            return double.Parse(File.ReadAllText(schedstat).Split(' ')[1], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            // The thread has ended.
            return 0;
        }
    }

    private static double Seconds(int process)
    {
        using var one = Process.GetProcessById(process);
        return one.TotalProcessorTime.TotalSeconds;
    }
}
